#include "base/thread_pool.h"

#include <memory>

#if defined(__linux__)
#include <sched.h>
#endif

#include "base/test.h"

namespace emu {
namespace {

struct Counts {
  std::vector<std::atomic<int>> runs;
  std::atomic<int> strangers{0};
  int threads;
  explicit Counts(int64_t tasks, int thread_count) : runs(tasks), threads(thread_count) {}
};

void Count(void* context, int64_t task, int thread) {
  Counts& counts = *static_cast<Counts*>(context);
  counts.runs[task].fetch_add(1);
  if (thread < 0 || thread >= counts.threads) counts.strangers.fetch_add(1);
}

EMU_TEST(EveryTaskRunsExactlyOnceOnAnyNumberOfThreads) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t tasks : {0, 1, 2, 3, 64, 1000}) {
      Counts counts(tasks, threads);
      pool.Run(tasks, Count, &counts);
      for (const auto& runs : counts.runs) EXPECT_EQ(runs.load(), 1);
      EXPECT_EQ(counts.strangers.load(), 0);
    }
  }
}

// Short runs one after the other, each with memory of its own: a late thread that touched an earlier or a
// later run's memory would be seen by AddressSanitizer, and as a wrong count.
EMU_TEST(ALateThreadNeverTakesATaskOfAnotherRun) {
  ThreadPool pool(4);
  for (int run = 0; run < 20000; ++run) {
    const int64_t tasks = 2 + run % 7;
    auto counts = std::make_unique<Counts>(tasks, 4);
    pool.Run(tasks, Count, counts.get());
    for (const auto& runs : counts->runs) EXPECT_EQ(runs.load(), 1);
  }
}

EMU_TEST(SleepingThreadsAreWoken) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    Counts counts(100, 3);
    pool.Run(100, Count, &counts);
    for (const auto& runs : counts.runs) EXPECT_EQ(runs.load(), 1);
  }
}

#if defined(__linux__)

cpu_set_t AllowedCores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  return allowed;
}

struct Seats {
  std::vector<cpu_set_t> allowed;
  std::vector<int> policy;
  std::atomic<int> seated{0};
  explicit Seats(int threads) : allowed(threads), policy(threads) {}
};

// One task a thread: each waits until all have begun.
void Sit(void* context, int64_t, int thread) {
  Seats& seats = *static_cast<Seats*>(context);
  seats.allowed[thread] = AllowedCores();
  seats.policy[thread] = sched_getscheduler(0);
  seats.seated.fetch_add(1);
  while (seats.seated.load() < static_cast<int>(seats.allowed.size())) std::this_thread::yield();
}

// Whoever settles stays settled, so not the thread that runs the tests.
void SeatAll(Seats& seats) {
  std::thread caller([&] {
    const int threads = static_cast<int>(seats.allowed.size());
    ThreadPool pool(threads);
    pool.SettleCaller();
    pool.Run(threads, Sit, &seats);
  });
  caller.join();
}

EMU_TEST(AThreadForEveryCoreStaysOnACoreOfItsOwn) {
  const cpu_set_t allowed = AllowedCores();
  const int cores = CPU_COUNT(&allowed);
  if (cores < 2) return;
  Seats seats(cores);
  SeatAll(seats);
  cpu_set_t taken;
  CPU_ZERO(&taken);
  for (const cpu_set_t& own : seats.allowed) {
    EXPECT_EQ(CPU_COUNT(&own), 1);
    CPU_OR(&taken, &taken, &own);
  }
  EXPECT_TRUE(CPU_EQUAL(&taken, &allowed));
}

EMU_TEST(ThreadsThatAreNotOneForEveryCoreMayRunOnAll) {
  const cpu_set_t allowed = AllowedCores();
  Seats seats(CPU_COUNT(&allowed) + 1);
  SeatAll(seats);
  for (const cpu_set_t& own : seats.allowed) EXPECT_TRUE(CPU_EQUAL(&own, &allowed));
}

EMU_TEST(ACallerThatWasOnOneCoreIsFreedByAPoolOfOtherSize) {
  const cpu_set_t allowed = AllowedCores();
  const int cores = CPU_COUNT(&allowed);
  std::thread caller([&] {
    ThreadPool all(cores), more(cores + 1);
    all.SettleCaller();
    more.SettleCaller();
    const cpu_set_t now = AllowedCores();
    EXPECT_TRUE(CPU_EQUAL(&now, &allowed));
  });
  caller.join();
}

EMU_TEST(KernelThreadsAreBatchWork) {
  Seats seats(2);
  SeatAll(seats);
  for (const int policy : seats.policy) EXPECT_EQ(policy, SCHED_BATCH);
}

#endif

EMU_TEST(ThereIsAtLeastOneCore) { EXPECT_TRUE(AvailableCores() >= 1); }

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
