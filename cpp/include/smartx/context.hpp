// How work runs: on which threads, who may stop it, by which instruction set. And loops over
// threads: the only file that names OpenMP.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <vector>

#ifdef SMARTX_STD_THREADS  // for ThreadSanitizer, and for macOS: see CMakeLists.txt
#include <system_error>
#include <thread>
#else
#include <omp.h>
#endif

#include "smartx/level.hpp"
#include "smartx/team.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Thrown where the caller asked to stop (Ctrl-C). Never thrown inside a loop's body.
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled") {}
};

/// Whether work should stop. The default never does.
class Stop {
 public:
  using Poll = bool (*)(void*);

  Stop() = default;
  /// `poll` is called on the thread that began the work and returns true to stop.
  Stop(Poll poll, void* self) : poll_(poll), self_(self) {}
  /// Stops where `outer` does, and where this one is asked to.
  explicit Stop(const Stop* outer) : outer_(outer) {}
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  void ask() const { asked_.store(true, std::memory_order_relaxed); }
  /// Any thread.
  bool look() const {
    return asked_.load(std::memory_order_relaxed) || (outer_ != nullptr && outer_->look());
  }
  /// The thread that began the work.
  bool poll() const {
    if (look()) return true;
    if ((outer_ != nullptr && outer_->poll()) || (poll_ != nullptr && poll_(self_))) ask();
    return look();
  }

 private:
  Poll poll_ = nullptr;
  void* self_ = nullptr;
  const Stop* outer_ = nullptr;
  mutable std::atomic<bool> asked_{false};
};

/// Made once at the boundary and handed down to all that works or loops.
class Context {
 public:
  Context(int threads, const Stop& stop, const Level& level)
      : threads_(threads), stop_(&stop), level_(&level) {}

  int threads() const { return threads_; }
  const DotLevel& dot() const { return *level_->dot; }
  const VectorOpLevel& ops() const { return *level_->ops; }
  const Level& level() const { return *level_; }
  const Stop& stop() const { return *stop_; }
  Team* team() const { return team_; }

  bool stopped() const { return hand_ == 0 ? stop_->poll() : stop_->look(); }
  /// Throws Cancelled where work should stop. Every loop without end in sight asks.
  void check() const {
    if (stopped()) throw Cancelled();
  }

  /// One thread, the running one: for the body of a loop, which says which hand it is.
  Context alone(int hand = 0) const {
    Context one = *this;
    one.threads_ = 1;
    one.team_ = nullptr;
    one.hand_ = hand_ == 0 ? hand : hand_;
    return one;
  }
  Context led_by(Team& team) const {
    Context led = *this;
    led.team_ = &team;
    return led;
  }
  Context stopped_by(const Stop& stop) const {
    Context other = *this;
    other.stop_ = &stop;
    return other;
  }

 private:
  int threads_;
  const Stop* stop_;
  const Level* level_;
  Team* team_ = nullptr;  // where one is at work already
  int hand_ = 0;          // 0: the thread that began the work, which alone may poll
};

/// Calls body(hand) once for each hand 0 .. threads - 1, each on a thread of its own; hand 0 is the
/// calling one. Where the system gives no more threads there are fewer hands. The body must not
/// throw.
template <class Body>
void on_threads(int threads, const Body& body) {
#ifdef SMARTX_STD_THREADS
  std::vector<std::thread> others;
  try {
    for (int hand = 1; hand < threads; ++hand) others.emplace_back([&body, hand] { body(hand); });
  } catch (const std::system_error&) {
  }
  body(0);
  for (std::thread& other : others) other.join();
#else
#pragma omp parallel num_threads(threads)
  body(omp_get_thread_num());
#endif
}

/// Runs work(context) on the calling thread and keeps the other threads ready for every loop inside
/// that is given this context, so that loops of some microseconds are worth sharing. Where a team
/// is at work already, or there is one thread, it just runs work. An exception of work comes out of
/// here.
template <class Work>
void with_team(const Context& context, const Work& work) {
  if (context.threads() <= 1 || context.team() != nullptr) {
    work(context);
    return;
  }
  Team team;
  std::exception_ptr problem;
  on_threads(context.threads(), [&](int hand) noexcept {
    if (hand > 0) return team.help(hand);
    try {
      work(context.led_by(team));
    } catch (...) {
      problem = std::current_exception();
    }
    team.dismiss();
  });
  if (problem) std::rethrow_exception(problem);
}

using Helpers = Team::Helpers;

/// Calls body(i), or body(i, hand), for i in 0..n-1, each i once, in no promised order, though the
/// i of one hand ascend (but for Helpers::kFromEnd): a body writes only to slots that belong to its
/// i, or to its hand (0 .. context.threads() - 1, one at a time). The body must not throw, and
/// loops of its own run on context.alone(hand). Chunks of `grain` indices are handed out as threads
/// become free. Asks between chunks whether to stop; throws Cancelled when every chunk that was
/// begun is done.
template <class Body>
void parallel_for(Offset n, const Context& context, const Body& body, Offset grain = 1,
                  Helpers helpers = Helpers::kFromStart) {
  const Offset chunks = (n + grain - 1) / grain;
  const auto run = [&](Offset chunk, int hand) noexcept {
    const Offset end = (chunk + 1) * grain < n ? (chunk + 1) * grain : n;
    for (Offset i = chunk * grain; i < end; ++i) {
      if constexpr (std::is_invocable_v<const Body&, Offset, int>) {
        static_assert(noexcept(body(Offset{0}, 0)), "a parallel body must be noexcept");
        body(i, hand);
      } else {
        static_assert(noexcept(body(Offset{0})), "a parallel body must be noexcept");
        body(i);
      }
    }
  };
  if (context.threads() <= 1 || chunks <= 1) {
    for (Offset chunk = 0; chunk < chunks; ++chunk) {
      run(chunk, 0);
      context.check();
    }
    return;
  }
  with_team(context, [&](const Context& led) { led.team()->run(chunks, led, run, helpers); });
}

/// parallel_for whose body(i, hand, context) may throw; the context is that of the hand alone. The
/// first exception stops the others and comes out of here.
template <class Body>
void parallel_tasks(Offset n, const Context& context, const Body& body) {
  const Stop stop(&context.stop());
  const Context inside = context.stopped_by(stop);
  std::mutex mutex;
  std::exception_ptr problem;
  const auto task = [&](Offset i, int hand) noexcept {
    if (stop.look()) return;
    try {
      body(i, hand, inside.alone(hand));
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!problem) problem = std::current_exception();
      stop.ask();
    }
  };
  try {
    parallel_for(n, inside, task);
  } catch (const Cancelled&) {  // thrown too where a task failed
    if (!problem) throw;
  }
  if (problem) std::rethrow_exception(problem);
}

}  // namespace smartx
