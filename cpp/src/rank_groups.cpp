#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <vector>

#include "smartx/parallel.hpp"
#include "smartx/select.hpp"

namespace smartx {

namespace {

/// Groups of up to this many rows run one on each thread: their kernels together stay small (32 MB
/// each) and the threads never wait for one another.
constexpr Offset kSmallGroup = 4096;

struct Group {
  Offset start;
  Item rows;
};

/// Lets every thread of a region stop when one has to. The calling thread asks the caller's
/// Cancel; the others only look at the flag.
class SharedStop {
 public:
  explicit SharedStop(const Cancel& outer) : outer_(outer) {}

  Cancel cancel() { return {thread_index() == 0 ? &SharedStop::ask : &SharedStop::look, this}; }
  /// Keeps the running exception (the first one) and stops the others.
  void fail() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!problem_) problem_ = std::current_exception();
    asked_.store(true);
  }
  bool stopped() const { return asked_.load(std::memory_order_relaxed); }
  void rethrow() const {
    if (problem_) std::rethrow_exception(problem_);
  }

 private:
  static bool look(void* self) { return static_cast<SharedStop*>(self)->stopped(); }
  static bool ask(void* self) {
    auto& stop = *static_cast<SharedStop*>(self);
    if (stop.outer_.requested()) stop.asked_.store(true);
    return stop.stopped();
  }

  const Cancel& outer_;
  std::atomic<bool> asked_{false};
  std::mutex mutex_;
  std::exception_ptr problem_;
};

void rank_one(RowsView rows, const Group& group, const Objective& objective, int threads,
              const Cancel& cancel, GroupOrders& out) {
  Request request;
  request.objective = objective;
  request.budget = group.rows;
  request.options.threads = threads;
  const RowsView own{rows.data + group.start * rows.d, group.rows, rows.d};
  const Chosen chosen = maximize(own, request, cancel);
  std::copy(chosen.items.begin(), chosen.items.end(), out.order.begin() + group.start);
  std::copy(chosen.gains.begin(), chosen.gains.end(), out.gains.begin() + group.start);
}

}  // namespace

GroupOrders rank_groups(RowsView rows, Span<const Offset> sizes, const Objective& objective,
                        int threads, const Cancel& cancel) {
  GroupOrders out;
  out.order.resize(static_cast<std::size_t>(rows.n));
  out.gains.resize(static_cast<std::size_t>(rows.n));
  std::vector<Group> groups;
  Offset start = 0;
  for (const Offset size : sizes) {
    if (size > 0) groups.push_back({start, static_cast<Item>(size)});
    start += size;
  }
  // Costliest first, so that no thread is left alone with a long one at the end.
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return a.rows > b.rows || (a.rows == b.rows && a.start < b.start);
  });
  std::size_t large = 0;
  while (large < groups.size() && groups[large].rows > kSmallGroup) {
    rank_one(rows, groups[large++], objective, threads, cancel, out);
  }
  SharedStop stop(cancel);
  const auto small_group = [&](Offset i) noexcept {
    if (stop.stopped()) return;
    try {
      rank_one(rows, groups[large + i], objective, 1, stop.cancel(), out);
    } catch (...) {
      stop.fail();
    }
  };
  parallel_for(static_cast<Offset>(groups.size() - large), threads, cancel, small_group);
  stop.rethrow();
  return out;
}

}  // namespace smartx
