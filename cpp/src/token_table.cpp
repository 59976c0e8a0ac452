#include "smartx/token_table.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "smartx/first_where.hpp"

namespace smartx {

namespace {

constexpr Offset kTextsAtOnce = 64;  // handed to a thread together
constexpr Offset kSumsAtOnce = 8;    // rows of bags whose sizes may be very unequal

/// The bag of one text at a time. The tokens come out of a set of bits, so nothing is sorted.
class OneBag {
 public:
  /// For texts of at most `longest` tokens.
  OneBag(const TokenWeights& weights, Offset longest)
      : weights_(weights),
        times_(size_of(weights.vocabulary()), 0),
        seen_(words(weights.vocabulary()), 0),
        seen_words_(words(words(weights.vocabulary())), 0),
        tokens_(size_of(std::min<Offset>(longest, weights.vocabulary()))),
        values_(tokens_.size()) {}

  /// Becomes the bag of these tokens; all of them are of the vocabulary.
  void become(Span<const std::uint32_t> ids) noexcept {
    for (const std::uint32_t id : ids) {
      ++times_[id];
      seen_[id / 64] |= std::uint64_t{1} << id % 64;
      seen_words_[id / 4096] |= std::uint64_t{1} << id / 64 % 64;
    }
    std::size_t size = 0;
    double length2 = 0.0;
    const auto add = [&](std::size_t id) {
      const std::int64_t most = weights_.counts.size - 1;
      const float value =
          weights_.weights[id] * weights_.counts[std::min<std::int64_t>(times_[id], most)];
      times_[id] = 0;
      if (value == 0.0F) return;
      tokens_[size] = static_cast<Item>(id);
      values_[size++] = value;
      length2 += static_cast<double>(value) * value;
    };
    each_bit(seen_words_, [&](std::size_t word) { each_bit_of(seen_[word], 64 * word, add); });
    const double length = std::sqrt(length2);
    for (std::size_t e = 0; e < size; ++e) values_[e] = static_cast<float>(values_[e] / length);
    size_ = size;
  }

  Offset size() const noexcept { return static_cast<Offset>(size_); }
  const Item* tokens() const noexcept { return tokens_.data(); }
  const float* values() const noexcept { return values_.data(); }

 private:
  static std::size_t size_of(Offset count) { return static_cast<std::size_t>(count); }
  static std::size_t words(std::size_t bits) { return (bits + 63) / 64; }
  static std::size_t words(Item bits) { return words(static_cast<std::size_t>(bits)); }

  /// Calls f(first + place) for every bit that is set, ascending, and clears it.
  template <class F>
  static void each_bit_of(std::uint64_t& word, std::size_t first, const F& f) noexcept {
    for (; word != 0; word &= word - 1) f(first + static_cast<std::size_t>(__builtin_ctzll(word)));
  }
  template <class F>
  static void each_bit(std::vector<std::uint64_t>& bits, const F& f) noexcept {
    for (std::size_t w = 0; w < bits.size(); ++w) each_bit_of(bits[w], 64 * w, f);
  }

  TokenWeights weights_;
  std::vector<std::int32_t> times_;        // (v,), of the text at hand; 0 in between
  std::vector<std::uint64_t> seen_;        // bit t: token t was there
  std::vector<std::uint64_t> seen_words_;  // bit w: word w of seen_ is not 0
  std::vector<Item> tokens_;
  std::vector<float> values_;
  std::size_t size_ = 0;
};

Offset longest_of(TokensView texts) {
  Offset longest = 0;
  for (Item i = 0; i < texts.n; ++i)
    longest = std::max(longest, texts.starts[i + 1] - texts.starts[i]);
  return longest;
}

std::vector<OneBag> one_for_each_hand(TokensView texts, const TokenWeights& weights,
                                      const Context& context) {
  return {static_cast<std::size_t>(context.threads()), OneBag(weights, longest_of(texts))};
}

bool all_finite(const float* values, Offset count) noexcept {
  constexpr float kLargest = std::numeric_limits<float>::max();
  bool finite = true;
  for (Offset c = 0; c < count; ++c) finite &= std::fabs(values[c]) <= kLargest;
  return finite;
}

}  // namespace

Offset first_unknown(TokensView texts, Item vocabulary, const Context& context) {
  const auto unknown = [&](Offset i) {
    std::uint32_t largest = 0;
    for (const std::uint32_t id : texts.text(i)) largest = std::max(largest, id);
    return texts.text(i).size > 0 && largest >= static_cast<std::uint32_t>(vocabulary);
  };
  return first_where(texts.n, context, unknown, kTextsAtOnce);
}

Bags token_bags(TokensView texts, const TokenWeights& weights, const Context& context) {
  std::vector<OneBag> bag_of = one_for_each_hand(texts, weights, context);
  Bags bags;
  bags.indptr.assign(static_cast<std::size_t>(texts.n) + 1, 0);
  // Two rounds: count, then fill, so that nothing is stored larger than it is.
  const auto count = [&](Offset i, int hand) noexcept {
    bag_of[hand].become(texts.text(i));
    bags.indptr[i + 1] = bag_of[hand].size();
  };
  parallel_for(texts.n, context, count, kTextsAtOnce);
  for (Item i = 0; i < texts.n; ++i) bags.indptr[i + 1] += bags.indptr[i];
  bags.indices.resize(static_cast<std::size_t>(bags.indptr.back()));
  bags.weights.resize(bags.indices.size());
  const auto fill = [&](Offset i, int hand) noexcept {
    OneBag& bag = bag_of[hand];
    bag.become(texts.text(i));
    std::copy_n(bag.tokens(), bag.size(), bags.indices.data() + bags.indptr[i]);
    std::copy_n(bag.values(), bag.size(), bags.weights.data() + bags.indptr[i]);
  };
  parallel_for(texts.n, context, fill, kTextsAtOnce);
  return bags;
}

Offset bags_times(BagsView bags, TableView table, float* out, const Context& context) {
  std::atomic<Offset> first{bags.n};
  const auto multiply = [&](Offset i) noexcept {
    const Offset start = bags.indptr[i];
    context.ops().sum_of_rows(bags.weights + start, bags.indices + start,
                              bags.indptr[i + 1] - start, table.data, table.d, table.d,
                              out + i * table.d);
    if (!all_finite(out + i * table.d, table.d)) lower_to(first, i);
  };
  parallel_for(bags.n, context, multiply, kSumsAtOnce);
  return first;
}

RowFaults embed_tokens(TokensView texts, const TokenWeights& weights, TableView table,
                       const float* centre, std::int16_t* out, const Context& context) {
  std::vector<OneBag> bag_of = one_for_each_hand(texts, weights, context);
  const Item d = table.d;
  std::vector<std::vector<float>> row_of(bag_of.size(),
                                         std::vector<float>(static_cast<std::size_t>(d)));
  std::vector<RowFaults::Kind> kinds(static_cast<std::size_t>(texts.n), RowFaults::Kind::kNone);
  const auto embed = [&](Offset i, int hand) noexcept {
    OneBag& bag = bag_of[hand];
    float* row = row_of[hand].data();
    bag.become(texts.text(i));
    context.ops().sum_of_rows(bag.values(), bag.tokens(), bag.size(), table.data, d, d, row);
    for (Item c = 0; c < d; ++c) row[c] += centre[c];
    kinds[i] = quantize_row(row, d, out + i * d);
  };
  parallel_for(texts.n, context, embed, kTextsAtOnce);
  return row_faults(kinds);
}

}  // namespace smartx
