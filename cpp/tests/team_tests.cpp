// Loops on a team: every index once, whatever the threads do; cancelled, failing and nested ones.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "smartx/context.hpp"

using namespace smartx;

namespace {

const int kThreads[] = {1, 2, 3, 8};  // 8 are more than many machines have

struct Polls {
  int left;  // polls that go well
  static bool ask(void* self) { return --static_cast<Polls*>(self)->left < 0; }
};

}  // namespace

TEST(many_tiny_loops_do_every_index_once) {
  for (const int threads : kThreads) {
    std::vector<std::int64_t> sums(61);
    with_team(plain(threads), [&](const Context& led) {
      for (Offset loop = 0; loop < 20000; ++loop)
        parallel_for(
            loop % 61, led, [&](Offset i) noexcept { sums[i] += loop; }, 1,
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
    with_team(plain(threads), [&](const Context& led) {
      for (int loop = 0; loop < 5000; ++loop) {
        parallel_for(64, led, [&](Offset i) noexcept {
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
          n, plain(threads),
          [&](Offset i, int hand) noexcept {
            std::atomic<int>& own = inside[static_cast<std::size_t>(hand)];
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
  with_team(plain(2), [&](const Context& led) {
    for (int loop = 0; loop < 200 && !helped[0]; ++loop) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));  // long enough to fall asleep
      std::atomic<int> here{0};
      parallel_for(2, led, [&](Offset, int hand) noexcept {
        here.fetch_add(1);
        for (int i = 0; i < 500 && here.load() < 2; ++i)
          std::this_thread::sleep_for(std::chrono::microseconds(10));
        if (hand > 0) helped[0] = 1;
      });
    }
  });
  CHECK(helped[0] == 1);
}

TEST(a_cancelled_loop_stops_and_leaves_the_team_usable) {
  for (const int threads : kThreads) {
    for (const int polls : {0, 1, 5}) {
      with_team(plain(threads), [&](const Context& led) {
        Polls asked{polls};
        const Stop stop(&Polls::ask, &asked);
        std::atomic<int> done{0};
        bool threw = false;
        try {
          parallel_for(1 << 20, led.stopped_by(stop), [&](Offset) noexcept {
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
        parallel_for(100, led, [&](Offset) noexcept { after.fetch_add(1); });
        CHECK(after.load() == 100);
        CHECK(done.load() == then);  // nothing of the cancelled loop is still running
      });
    }
  }
}

TEST(a_leader_that_waits_still_asks_whether_to_stop) {
  std::atomic<bool> stop{false};
  const Stop stops(
      [](void* flag) {
        static_cast<std::atomic<bool>*>(flag)->store(true);
        return true;
      },
      &stop);
  bool threw = false;
  try {
    parallel_for(2, plain(2).stopped_by(stops), [&](Offset, int hand) noexcept {
      while (hand > 0 && !stop.load()) std::this_thread::yield();
    });
  } catch (const Cancelled&) {
    threw = true;
  }
  CHECK(threw);
}

/// Keeps the leader waiting for a helper that was put aside in the middle of an index.
void stall(const Context& led) {
  std::atomic<int> here{0};
  parallel_for(2, led, [&](Offset, int hand) noexcept {
    here.fetch_add(1);
    for (int i = 0; i < 500 && here.load() < 2; ++i)
      std::this_thread::sleep_for(std::chrono::microseconds(10));
    if (hand > 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
  });
}

TEST(a_leader_that_was_kept_waiting_works_alone_and_can_be_stopped) {
  int alone = 0;
  for (int attempt = 0; attempt < 20; ++attempt) {
    with_team(plain(2), [&](const Context& led) {
      stall(led);
      std::atomic<int> helped{0};
      parallel_for(6, led, [&](Offset, int hand) noexcept {  // shorter than what is shared even so
        if (hand > 0) helped.fetch_add(1);
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(15);
        while (std::chrono::steady_clock::now() < until) {
        }
      });
      alone += helped.load() == 0;
      for (const int polls : {0, 3}) {
        Polls asked{polls};
        const Stop stop(&Polls::ask, &asked);
        std::atomic<int> done{0};
        bool threw = false;
        try {
          parallel_for(1000, led.stopped_by(stop), [&](Offset) noexcept { done.fetch_add(1); });
        } catch (const Cancelled&) {
          threw = true;
        }
        CHECK(threw);
        const int then = done.load();
        parallel_for(10, led, [](Offset) noexcept {});
        CHECK(done.load() == then);  // nothing of the cancelled loop is still running
      }
      std::vector<int> counts(5000);
      parallel_for(5000, led, [&](Offset i) noexcept { ++counts[i]; });
      CHECK(counts == std::vector<int>(5000, 1));
    });
  }
  CHECK(alone > 0);
}

TEST(an_exception_of_the_leader_comes_out_of_the_team) {
  for (const int threads : kThreads) {
    bool caught = false;
    try {
      with_team(plain(threads), [](const Context&) { throw std::runtime_error("as it is"); });
    } catch (const std::runtime_error&) {
      caught = true;
    }
    CHECK(caught);
  }
}

TEST(a_loop_inside_a_loop_runs_on_its_own_thread) {
  for (const int threads : kThreads) {
    std::vector<int> counts(40);
    const Context context = plain(threads);
    parallel_for(40, context, [&](Offset i, int hand) noexcept {
      with_team(context.alone(hand), [&](const Context& own) {
        parallel_for(50, own, [&](Offset, int inner) noexcept { counts[i] += 1 + inner; });
      });
    });
    CHECK(counts == std::vector<int>(40, 50));
  }
}

TEST(the_first_exception_of_a_task_stops_the_others_and_comes_out) {
  for (const int threads : kThreads) {
    for (const Offset failing : {0, 7, 900}) {
      std::atomic<int> done{0};
      std::string problem;
      try {
        parallel_tasks(100000, plain(threads), [&](Offset i, int, const Context& alone) {
          if (i == failing) throw std::runtime_error("task " + std::to_string(i));
          alone.check();
          done.fetch_add(1, std::memory_order_relaxed);
          std::this_thread::sleep_for(std::chrono::microseconds(i > 900 ? 100 : 0));
        });
      } catch (const std::runtime_error& thrown) {
        problem = thrown.what();
      }
      CHECK(problem == "task " + std::to_string(failing));
      CHECK(done.load() < 90000);
    }
  }
}

TEST(a_stop_that_only_one_task_can_poll_stops_all_of_them) {
  for (const int threads : kThreads) {
    Polls asked{20};
    const Stop stop(&Polls::ask, &asked);
    bool threw = false;
    try {
      parallel_tasks(threads, plain(threads).stopped_by(stop),
                     [&](Offset, int, const Context& alone) {
                       while (true) alone.check();
                     });
    } catch (const Cancelled&) {
      threw = true;
    }
    CHECK(threw);
  }
}
