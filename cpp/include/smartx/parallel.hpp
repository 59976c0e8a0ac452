// Loops over threads: the only file that names OpenMP.
#pragma once

#include <omp.h>

#include <exception>

#include "smartx/team.hpp"
#include "smartx/types.hpp"

namespace smartx {

namespace threads_detail {

/// What the running thread is: its index in the loop that it works on, and the team that it leads.
struct Place {
  int index = 0;
  Team* leads = nullptr;
};
inline thread_local Place place;

/// Gives the running thread a place, and the old one back.
class Placed {
 public:
  explicit Placed(Place now) : before_(place) { place = now; }
  ~Placed() { place = before_; }
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;

 private:
  Place before_;
};

}  // namespace threads_detail

/// Index of the running thread inside a parallel_for body, 0 outside: for per-thread scratch space.
inline int thread_index() {
  return threads_detail::place.index;
}

/// Runs work() on the calling thread and keeps `threads` - 1 others ready for every parallel_for
/// inside, so that loops of some microseconds are worth sharing. Inside another team, or where
/// threads is 1, it just runs work(). An exception of work() comes out of here.
template <class Work>
void with_team(int threads, const Work& work) {
  if (threads <= 1 || threads_detail::place.leads != nullptr) {
    work();
    return;
  }
  Team team;
  std::exception_ptr problem;
#pragma omp parallel num_threads(threads)
  {
    if (omp_get_thread_num() == 0) {
      const threads_detail::Placed placed({0, &team});
      try {
        work();
      } catch (...) {
        problem = std::current_exception();
      }
      team.dismiss();
    } else {
      const threads_detail::Placed placed({omp_get_thread_num(), nullptr});
      team.help();
    }
  }
  if (problem) std::rethrow_exception(problem);
}

using Helpers = Team::Helpers;

/// Calls body(i) for i in 0..n-1 on `threads` threads, each i once, in no promised order, though
/// the i of one thread ascend (but for Helpers::kFromEnd): a body writes only to slots that belong
/// to its i. The body must not throw (an exception that leaves a thread ends the process). Chunks
/// of `grain` indices are handed out as threads become free. The calling thread polls `cancel`
/// between chunks; throws Cancelled when every chunk that was begun is done.
template <class Body>
void parallel_for(Offset n, int threads, const Cancel& cancel, const Body& body, Offset grain = 1,
                  Helpers helpers = Helpers::kFromStart) {
  static_assert(noexcept(body(Offset{0})), "a parallel body must be noexcept");
  const Offset chunks = (n + grain - 1) / grain;
  const auto run = [&](Offset chunk) noexcept {
    const Offset end = (chunk + 1) * grain < n ? (chunk + 1) * grain : n;
    for (Offset i = chunk * grain; i < end; ++i) body(i);
  };
  Team* const team = threads_detail::place.leads;
  if (threads <= 1 || chunks <= 1 || (team != nullptr && team->busy())) {
    const threads_detail::Placed alone({0, team});
    for (Offset chunk = 0; chunk < chunks; ++chunk) {
      run(chunk);
      cancel.check();
    }
    return;
  }
  with_team(threads, [&] { threads_detail::place.leads->run(chunks, cancel, run, helpers); });
}

}  // namespace smartx
