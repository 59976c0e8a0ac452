// Bags of tokens and tables with one row per token: what smartx.engine sees of them.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "faults.hpp"
#include "graphs.hpp"
#include "module.hpp"
#include "smartx/token_table.hpp"

namespace smartx {

namespace {

/// The texts of a call, and where each starts.
struct HeldTexts {
  HeldTexts(const py::array& ids_array, const py::array& lengths_array)
      : ids(vector_view<std::uint32_t>(ids_array, "ids")),
        n(checked_size(vector_view<Offset>(lengths_array, "lengths").size, "lengths")) {
    starts.reserve(static_cast<std::size_t>(n) + 1);
    starts.push_back(0);
    for (const Offset length : vector_view<Offset>(lengths_array, "lengths")) {
      if (length < 0 || length > ids.size - starts.back())
        throw std::invalid_argument("lengths: one is below 0, or they are more than there are ids");
      starts.push_back(starts.back() + length);
    }
    if (starts.back() != ids.size)
      throw std::invalid_argument("lengths: they sum to " + std::to_string(starts.back()) +
                                  ", and there are " + std::to_string(ids.size) + " ids");
  }
  TokensView view() const { return {n, starts.data(), ids.data}; }

  Span<const std::uint32_t> ids;
  Item n;
  std::vector<Offset> starts;
};

TokenWeights weights_of(const py::array& weights, const py::array& counts) {
  const TokenWeights all{vector_view<float>(weights, "weights"),
                         vector_view<float>(counts, "counts")};
  checked_size(all.weights.size, "weights");
  if (all.counts.size < 2) throw std::invalid_argument("counts: there must be 2 of them at least");
  const auto largest = [](Span<const float> values, const char* name) {
    float largest = 0.0F;
    for (Offset i = 0; i < values.size; ++i) {
      if (!std::isfinite(values[i]))
        throw std::invalid_argument(std::string(name) + ": value " + std::to_string(i) +
                                    " is not finite");
      largest = std::max(largest, std::fabs(values[i]));
    }
    return largest;
  };
  if (!std::isfinite(largest(all.weights, "weights") * largest(all.counts, "counts")))
    throw std::invalid_argument("weights: a product of a weight and a count is not finite");
  return all;
}

/// Throws where a text names a token that is none. Without the GIL.
void check_known(const HeldTexts& texts, Item vocabulary, const Context& context) {
  const Offset i = first_unknown(texts.view(), vocabulary, context);
  if (i == texts.n) return;
  const auto ids = texts.view().text(i);
  throw std::out_of_range("ids: text " + std::to_string(i) + " has token " +
                          std::to_string(*std::max_element(ids.begin(), ids.end())) + " of " +
                          std::to_string(vocabulary));
}

TableView table_view(const py::array& table, const char* name) {
  const auto view = matrix_view<float>(table, name);
  return {view.data, checked_size(view.rows, name), checked_size(view.columns, name)};
}

py::tuple bags_tuple(Bags&& bags) {
  return py::make_tuple(hand_over(std::move(bags.indptr)), hand_over(std::move(bags.indices)),
                        hand_over(std::move(bags.weights)));
}

py::tuple token_bags_of(const py::array& ids, const py::array& lengths, const py::array& weights,
                        const py::array& counts, int threads) {
  const HeldTexts texts(ids, lengths);
  const TokenWeights worth = weights_of(weights, counts);
  return bags_tuple(without_gil(threads, "", [&](const Context& context) {
    check_known(texts, worth.vocabulary(), context);
    return token_bags(texts.view(), worth, context);
  }));
}

/// Throws where bags that came from outside have a fault. Without the GIL.
void check_bags(BagsView bags, Item vocabulary, Offset entries, const Context& context) {
  const std::string fault = graph_fault(bags, vocabulary, entries, context);
  if (!fault.empty()) throw std::invalid_argument("bags: " + fault);
}

py::tuple transposed_bags(const py::array& starts, const py::array& tokens, const py::array& values,
                          Offset vocabulary, int threads) {
  const BagsView bags = graph_view<float>(starts, tokens, values);
  if (vocabulary < 0) throw std::invalid_argument("vocabulary: it is below 0");
  const Item columns = checked_size(vocabulary, "vocabulary");
  return bags_tuple(without_gil(threads, "", [&](const Context& context) {
    check_bags(bags, columns, tokens.size(), context);
    return transposed(bags, columns, context);
  }));
}

/// (rows, the first that is not finite or their number)
py::tuple bags_times_table(const py::array& starts, const py::array& tokens,
                           const py::array& values, const py::array& table,
                           const std::string& level, int threads) {
  const BagsView bags = graph_view<float>(starts, tokens, values);
  const TableView rows = table_view(table, "table");
  py::array_t<float> out({py::ssize_t{bags.n}, py::ssize_t{rows.d}});
  float* sums = out.mutable_data();
  const Offset fault = without_gil(threads, level, [&](const Context& context) {
    check_bags(bags, rows.rows, tokens.size(), context);
    return bags_times(bags, rows, sums, context);
  });
  return py::make_tuple(out, fault);
}

py::tuple embed_all(const py::array& ids, const py::array& lengths, const py::array& weights,
                    const py::array& counts, const py::array& table, const py::array& centre,
                    const std::string& level, int threads) {
  const HeldTexts texts(ids, lengths);
  const TokenWeights worth = weights_of(weights, counts);
  const TableView rows = table_view(table, "table");
  const auto middle = vector_view<float>(centre, "centre");
  if (rows.rows != worth.vocabulary())
    throw std::invalid_argument("table: it and weights differ in number");
  if (middle.size != rows.d) throw std::invalid_argument("centre: it does not fit the table");
  py::array_t<std::int16_t> out({py::ssize_t{texts.n}, py::ssize_t{rows.d}});
  std::int16_t* q = out.mutable_data();
  const RowFaults faults = without_gil(threads, level, [&](const Context& context) {
    check_known(texts, worth.vocabulary(), context);
    return embed_tokens(texts.view(), worth, rows, middle.data, q, context);
  });
  return py::make_tuple(out, as_tuple(faults));
}

}  // namespace

void bind_tokens(py::module_& module) {
  using py::arg;
  module.def("token_bags", &token_bags_of, arg("ids"), arg("lengths"), arg("weights"),
             arg("counts"), arg("threads") = 1);
  module.def("transposed_bags", &transposed_bags, arg("starts"), arg("tokens"), arg("values"),
             arg("vocabulary"), arg("threads") = 1);
  module.def("bags_times", &bags_times_table, arg("starts"), arg("tokens"), arg("values"),
             arg("table"), arg("level") = "", arg("threads") = 1);
  module.def("embed_tokens", &embed_all, arg("ids"), arg("lengths"), arg("weights"), arg("counts"),
             arg("table"), arg("centre"), arg("level") = "", arg("threads") = 1);
}

}  // namespace smartx
