#include "smartx/graph_cut.hpp"

#include <cstdio>
#include <limits>
#include <stdexcept>

namespace smartx {

void check_cut(double penalty, double sum, Item n) {
  // A gain, its parts and what they are compared with are below 16 times this sum.
  const double largest = std::numeric_limits<double>::max() / 16.0 / std::max(n, 1);
  char text[160];
  if (!(sum <= largest)) {
    std::snprintf(text, sizeof text,
                  "graph cut: similarities sum to up to %.3g, at most %.3g are possible; scale "
                  "them down",
                  sum, largest);
    throw std::invalid_argument(text);
  }
  if (!(penalty * sum <= largest)) {
    std::snprintf(text, sizeof text,
                  "graph cut: penalty %.3g times sums of up to %.3g overflows; at most %.3g",
                  penalty, sum, largest / sum);
    throw std::invalid_argument(text);
  }
}

}  // namespace smartx
