// Threads that stay together for a whole selection and share loops of a few microseconds.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "smartx/types.hpp"

namespace smartx {

class Context;

/// A leader and its helpers. The leader posts loops; helpers look for one without sleeping in
/// between. Whoever is free takes the next index, the leader too, and the leader waits for indices
/// that a helper has taken, never for a helper that has not begun: a helper that does not run costs
/// nothing. Where a helper was put aside in the middle of an index and the leader had to wait, the
/// machine is busy, and the leader works alone for a while.
class Team {
 public:
  Team() = default;
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// From where a helper takes indices. From the end it has, loop for loop, about the same ones,
  /// and finds in its cache what they read.
  enum class Helpers { kFromStart, kFromEnd };

  /// Leader only: calls body(i, hand) for i in 0..count-1, each once; the i of the leader, hand 0,
  /// ascend, those of a helper too, or descend where they are taken from the end. Asks `context`
  /// between indices whether to stop, and throws Cancelled when every index that was begun is done.
  template <class Body>
  void run(Offset count, const Context& context, const Body& body, Helpers helpers) {
    const auto call = [](const void* own, Offset i, int hand) noexcept {
      (*static_cast<const Body*>(own))(i, hand);
    };
    run_calls({call, &body, count}, context, helpers);
  }

  /// Helpers only: works along, as that hand, until the leader has dismissed the team.
  void help(int hand) noexcept;
  void dismiss() noexcept { dismissed_.store(true, std::memory_order_release); }

 private:
  using Clock = std::chrono::steady_clock;

  struct Loop {
    void (*call)(const void*, Offset, int) noexcept = nullptr;
    const void* body = nullptr;
    Offset count = 0;
  };

  /// What is left of a loop: the indices first .. end - 1, fewer than 2^31. Nothing where all is 0.
  struct Left {
    explicit Left(std::uint64_t bits)
        : first(static_cast<Offset>(bits & 0x7FFFFFFF)),
          end(static_cast<Offset>(bits >> 32)),
          from_end((bits >> 31 & 1) != 0) {}
    static std::uint64_t all_of(Offset first, Offset end, Helpers helpers) {
      return static_cast<std::uint64_t>(end) << 32 | static_cast<std::uint64_t>(first) |
             (helpers == Helpers::kFromEnd ? std::uint64_t{1} << 31 : 0);
    }
    Offset first, end;
    bool from_end;
  };

  void run_calls(const Loop& loop, const Context& context, Helpers helpers);
  /// Takes an index; negative where there was none.
  Offset take(bool helper) noexcept;
  /// Waits for indices that helpers have taken; whether to stop was asked meanwhile.
  bool await(Offset by_helpers, const Context& context) const;
  void learn(Clock::duration usual, Clock::duration waited) noexcept;

  // `left_` is all that a helper looks at: who takes an index out of it holds one of the loop in
  // `loop_`, which the leader replaces only when all that were taken are done. So a helper that
  // comes late takes from the loop that is there by then, or nothing.
  alignas(64) std::atomic<std::uint64_t> left_{0};
  alignas(64) std::atomic<Offset> done_{0};  // indices that helpers have done of this loop
  alignas(64) std::atomic<bool> dismissed_{false};
  Loop loop_;
  Clock::time_point alone_until_{};
  Clock::duration alone_for_{};
};

}  // namespace smartx
