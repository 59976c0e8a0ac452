#include "smartx/team.hpp"

#include <algorithm>
#include <thread>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "smartx/context.hpp"

namespace smartx {

namespace {

using std::chrono::microseconds;

constexpr int kPauses = 32;                      // between two looks at the clock
constexpr microseconds kAwake{100};              // a helper without work spins so long,
constexpr microseconds kNap{50}, kLongNap{400};  // then it sleeps, longer each time
constexpr microseconds kPatience{30};            // a waiting leader spins so long, then it yields
constexpr microseconds kStall{150};              // a longer wait says that a helper was put aside
constexpr microseconds kAlone{4'000}, kLongestAlone{256'000};

void pause() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  asm volatile("yield");
#endif
}

}  // namespace

Offset Team::take(bool helper) noexcept {
  std::uint64_t bits = left_.load(std::memory_order_relaxed);
  while (true) {
    const Left left(bits);
    if (left.first >= left.end) return -1;
    const bool last = helper && left.from_end;
    const std::uint64_t rest = last ? bits - (std::uint64_t{1} << 32) : bits + 1;
    if (left_.compare_exchange_weak(bits, rest, std::memory_order_acquire,
                                    std::memory_order_relaxed))
      return last ? left.end - 1 : left.first;
  }
}

void Team::help(int hand) noexcept {
  auto idle_since = Clock::now();
  microseconds nap = kNap;
  while (!dismissed_.load(std::memory_order_acquire)) {
    bool worked = false;
    for (int i = 0; i < kPauses; ++i) {
      for (Offset index; (index = take(true)) >= 0; worked = true) {
        loop_.call(loop_.body, index, hand);
        done_.fetch_add(1, std::memory_order_release);
      }
      pause();
    }
    const auto now = Clock::now();
    if (worked) {
      idle_since = now;
      nap = kNap;
    } else if (now - idle_since > kAwake) {
      std::this_thread::sleep_for(nap);
      nap = std::min(2 * nap, kLongNap);
    }
  }
}

bool Team::await(Offset by_helpers, const Context& context) const {
  Clock::time_point since{};
  bool cancelled = false;
  for (int i = 1; done_.load(std::memory_order_acquire) != by_helpers; ++i) {
    pause();
    if (i % kPauses != 0) continue;
    if (since == Clock::time_point{}) since = Clock::now();
    if (Clock::now() - since < kPatience) continue;
    cancelled = cancelled || context.stopped();
    std::this_thread::yield();
  }
  return cancelled;
}

void Team::run_calls(const Loop& loop, const Context& context, Helpers helpers) {
  const auto start = Clock::now();
  bool alone = start < alone_until_;
  loop_ = loop;
  done_.store(0, std::memory_order_relaxed);
  if (!alone) left_.store(Left::all_of(0, loop.count, helpers), std::memory_order_release);
  Offset own = 0, dropped = 0;
  bool cancelled = false;
  const auto next = [&] { return !alone ? take(false) : own < loop.count ? own : -1; };
  for (Offset index; (index = next()) >= 0;) {
    loop.call(loop.body, index, 0);
    ++own;
    if (context.stopped()) {
      cancelled = true;
      const Left left(left_.exchange(0, std::memory_order_relaxed));
      dropped = alone ? loop.count - own : left.end - left.first;
      break;
    }
    if (alone && Clock::now() > std::min(alone_until_, start + kStall)) {
      alone = false;  // a loop longer than a stall is shared even so
      left_.store(Left::all_of(own, loop.count, helpers), std::memory_order_release);
    }
  }
  const Offset by_helpers = loop.count - own - dropped;
  if (done_.load(std::memory_order_acquire) != by_helpers) {
    const auto waited_from = Clock::now();
    cancelled = await(by_helpers, context) || cancelled;
    if (own > 0) learn((waited_from - start) / own, Clock::now() - waited_from);
  }
  if (cancelled) throw Cancelled();
}

/// An index that a helper has begun may take about as long as one of the leader's own; far beyond
/// is a stall. After one the leader works alone, after another soon after twice as long.
void Team::learn(Clock::duration usual, Clock::duration waited) noexcept {
  if (waited < kStall + 4 * usual) return;
  const auto now = Clock::now();
  const bool again = now - alone_until_ < 4 * alone_for_;
  alone_for_ = again ? std::min<Clock::duration>(2 * alone_for_, kLongestAlone) : kAlone;
  alone_until_ = now + alone_for_;
}

}  // namespace smartx
