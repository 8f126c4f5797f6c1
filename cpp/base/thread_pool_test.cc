#include "base/thread_pool.h"

#include <memory>

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

EMU_TEST(ThereIsAtLeastOneCore) { EXPECT_TRUE(AvailableCores() >= 1); }

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
