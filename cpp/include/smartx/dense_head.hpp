// Facility location over more rows than a dense kernel has room for: a sparse graph for the bulk,
// exact similarities where a small budget decides.
#pragma once

#include <cstdint>

#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/select.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// One ranking in three steps. Greedy over the graph proposes its first `candidates` rows. Greedy
/// over the dense 16-bit objective of all rows chooses the first `head` among them (a kernel of
/// candidates x n). Greedy over the graph goes on from there. The gains of the head are those of
/// the dense objective, the others those of the graph's. head <= candidates <= n. The head ends
/// early where no candidate is left of a template whose turn it is.
/// Row v of the graph lists what v covers. Request.certificate is not looked at.
Chosen maximize_with_head(RowsView rows, GraphView<std::int32_t> graph, Item candidates, Item head,
                          const Request& request, const Context& context);

/// 16-bit similarities (kernel.hpp) that somebody else made, and that a selection uses up: row v is
/// the values from v * stride on; stride is a multiple of 2.
struct Kernel16View {
  std::uint16_t* values = nullptr;
  Offset stride = 0;
};

/// The same from its second step on. proposed: rows, ascending; the kernel has one row for each and
/// a column for every row.
Chosen maximize_with_ready_head(RowsView rows, GraphView<std::int32_t> graph,
                                Span<const Item> proposed, Kernel16View kernel, Item head,
                                const Request& request, const Context& context);

/// Facility location over a ready kernel of all pairs of so many rows, as if all of them differed:
/// the items and gains of `maximize` over the rows themselves.
Chosen maximize_ready(Kernel16View kernel, Item rows, const Request& request,
                      const Context& context);

/// The dense 16-bit objective of a set, and how much better another of its size can be.
struct DenseWorth {
  double value = 0.0;
  double gap = 0.0;  // certificate_gap (certificate.hpp)
};

/// Exact, without a kernel: time of n^2 d / 2 products in tiles, memory O(n (d + threads)).
/// `items` must be rows without repeats.
DenseWorth dense_worth(RowsView rows, Span<const Item> items, const Context& context);

}  // namespace smartx
