// Loops on a team: every index once, whatever the threads do; cancelled, failing and nested ones.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "smartx/parallel.hpp"

using namespace smartx;

namespace {

const int kThreads[] = {1, 2, 3, 8};  // 8 are more than many machines have

struct Polls {
  int left;  // polls that go well
  static bool ask(void* self) { return --static_cast<Polls*>(self)->left < 0; }
  Cancel cancel() { return {&Polls::ask, this}; }
};

}  // namespace

TEST(many_tiny_loops_do_every_index_once) {
  for (const int threads : kThreads) {
    std::vector<std::int64_t> sums(61);
    with_team(threads, [&] {
      for (Offset loop = 0; loop < 20000; ++loop)
        parallel_for(
            loop % 61, threads, Cancel{}, [&](Offset i) noexcept { sums[i] += loop; }, 1,
            loop % 2 == 0 ? Helpers::kFromStart : Helpers::kFromEnd);
    });
    std::vector<std::int64_t> wanted(61);
    for (Offset loop = 0; loop < 20000; ++loop)
      for (Offset i = 0; i < loop % 61; ++i) wanted[i] += loop;
    CHECK(sums == wanted);
  }
}

TEST(a_loop_sees_what_the_loop_before_it_wrote) {
  for (const int threads : kThreads) {
    std::vector<std::int64_t> values(64, 1), other(64);
    with_team(threads, [&] {
      for (int loop = 0; loop < 5000; ++loop) {
        parallel_for(64, threads, Cancel{}, [&](Offset i) noexcept {
          other[i] = (values[(i + 1) % 64] + values[(i + 17) % 64]) % 1000003;
        });
        values.swap(other);
      }
    });
    CHECK(values == std::vector<std::int64_t>(64, values[0]));
    std::int64_t wanted = 1;
    for (int loop = 0; loop < 5000; ++loop) wanted = 2 * wanted % 1000003;
    CHECK(values[0] == wanted);
  }
}

TEST(grains_cover_every_index_and_scratch_belongs_to_one_thread) {
  for (const int threads : kThreads) {
    for (const Offset n : {0, 1, 15, 16, 17, 1000}) {
      std::vector<int> seen(static_cast<std::size_t>(n));
      std::vector<std::atomic<int>> inside(static_cast<std::size_t>(threads));
      std::atomic<bool> shared{false};
      parallel_for(
          n, threads, Cancel{},
          [&](Offset i) noexcept {
            std::atomic<int>& own = inside[static_cast<std::size_t>(thread_index())];
            if (own.fetch_add(1) != 0) shared = true;
            ++seen[i];
            own.fetch_sub(1);
          },
          16);
      CHECK(!shared);
      CHECK(seen == std::vector<int>(static_cast<std::size_t>(n), 1));
    }
  }
}

TEST(a_helper_that_slept_wakes_up_again) {
  std::vector<char> helped(1);
  with_team(2, [&] {
    for (int loop = 0; loop < 200 && !helped[0]; ++loop) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));  // long enough to fall asleep
      std::atomic<int> here{0};
      parallel_for(2, 2, Cancel{}, [&](Offset) noexcept {
        here.fetch_add(1);
        for (int i = 0; i < 500 && here.load() < 2; ++i)
          std::this_thread::sleep_for(std::chrono::microseconds(10));
        if (thread_index() > 0) helped[0] = 1;
      });
    }
  });
  CHECK(helped[0] == 1);
}

TEST(a_cancelled_loop_stops_and_leaves_the_team_usable) {
  for (const int threads : kThreads) {
    for (const int polls : {0, 1, 5}) {
      with_team(threads, [&] {
        Polls asked{polls};
        std::atomic<int> done{0};
        bool threw = false;
        try {
          parallel_for(1 << 20, threads, asked.cancel(), [&](Offset) noexcept {
            done.fetch_add(1, std::memory_order_relaxed);
            std::this_thread::sleep_for(std::chrono::microseconds(20));
          });
        } catch (const Cancelled&) {
          threw = true;
        }
        CHECK(threw);
        CHECK(done.load() < 1 << 20);
        const int then = done.load();
        std::atomic<int> after{0};
        parallel_for(100, threads, Cancel{}, [&](Offset) noexcept { after.fetch_add(1); });
        CHECK(after.load() == 100);
        CHECK(done.load() == then);  // nothing of the cancelled loop is still running
      });
    }
  }
}

TEST(a_leader_that_waits_still_asks_whether_to_stop) {
  std::atomic<bool> stop{false};
  const Cancel cancel{[](void* flag) {
                        static_cast<std::atomic<bool>*>(flag)->store(true);
                        return true;
                      },
                      &stop};
  bool threw = false;
  try {
    parallel_for(2, 2, cancel, [&](Offset) noexcept {
      while (thread_index() > 0 && !stop.load()) std::this_thread::yield();
    });
  } catch (const Cancelled&) {
    threw = true;
  }
  CHECK(threw);
}

TEST(an_exception_of_the_leader_comes_out_of_the_team) {
  for (const int threads : kThreads) {
    bool caught = false;
    try {
      with_team(threads, [] { throw std::runtime_error("as it is"); });
    } catch (const std::runtime_error&) {
      caught = true;
    }
    CHECK(caught);
    CHECK(thread_index() == 0);
  }
}

TEST(a_loop_inside_a_loop_runs_on_its_own_thread) {
  for (const int threads : kThreads) {
    std::vector<int> counts(40);
    parallel_for(40, threads, Cancel{}, [&](Offset i) noexcept {
      with_team(threads, [&] {
        parallel_for(50, threads, Cancel{}, [&](Offset) noexcept { ++counts[i]; });
      });
      if (thread_index() >= threads) counts[i] = -1;
    });
    CHECK(counts == std::vector<int>(40, 50));
  }
}
