// Texts as weighted bags of their tokens, and products of bags with a table of one row per token.
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// The tokens of n texts, one text after another, that somebody else owns.
struct TokensView {
  Item n = 0;
  const Offset* starts = nullptr;      // (n + 1,), rising
  const std::uint32_t* ids = nullptr;  // below the size of the vocabulary

  Span<const std::uint32_t> text(Offset i) const {
    return {ids + starts[i], starts[i + 1] - starts[i]};
  }
};

/// What c occurrences of token t are worth in a text: weights[t] * counts[min(c, counts.size - 1)].
/// All are finite, and so are these products; counts[0] is not used.
struct TokenWeights {
  Span<const float> weights;  // (v,)
  Span<const float> counts;   // (m,), m >= 2

  Item vocabulary() const { return static_cast<Item>(weights.size); }
};

/// Bags are compressed rows: row i lists the tokens of text i, ascending, and their values.
using BagsView = GraphView<float>;
using Bags = Graph<float>;

/// The first text that has a token outside 0..vocabulary-1; n where none has.
Offset first_unknown(TokensView texts, Item vocabulary, const Context& context);

/// The bag of every text: its tokens that are worth something, by what they are worth, divided by
/// the length of them all. That is the root of the sum of squares in double, added in the order of
/// the tokens. A text without tokens that are worth something has no entries.
Bags token_bags(TokensView texts, const TokenWeights& weights, const Context& context);

/// A table of rows of d values that somebody else owns.
struct TableView {
  const float* data = nullptr;
  Item rows = 0;
  Item d = 0;
};

/// out (n x d): row i becomes the sum of value * table[token] over bag i, in the order of the
/// tokens, from 0 on, products rounded before they are added. Returns the first row that is not
/// finite, n where all are.
Offset bags_times(BagsView bags, TableView table, float* out, const Context& context);

/// The rows of bags_times(token_bags(texts, weights), table) + centre as quantize gives them: out
/// (n x d). Says of which rows it would say what is wrong.
RowFaults embed_tokens(TokensView texts, const TokenWeights& weights, TableView table,
                       const float* centre, std::int16_t* out, const Context& context);

}  // namespace smartx
