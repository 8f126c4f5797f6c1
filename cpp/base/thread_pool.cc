#include "base/thread_pool.h"

#include <algorithm>
#include <cstdio>

namespace emu {
namespace {

// Phases follow each other within microseconds, so a worker looks for the next one for that long, some tens
// of microseconds, before it sleeps. Bounded, because the JavaScript thread and other processes need its core
// too.
constexpr int kSpins = 1000;

// The number of a task that nobody may take.
constexpr uint32_t kClosed = 0xffffffffu;

constexpr uint64_t MakeTicket(uint32_t generation, uint32_t task) {
  return static_cast<uint64_t>(generation) << 32 | task;
}

constexpr uint32_t Generation(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { Work(thread); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Run(int64_t tasks, Task task, void* context) {
  if (tasks <= 1 || workers_.empty() || tasks >= kClosed) {
    for (int64_t i = 0; i < tasks; ++i) task(context, i, 0);
    return;
  }
  const uint32_t generation = Generation(ticket_.load(std::memory_order_relaxed)) + 1;
  // Closed first: nobody may combine the old ticket with the new job.
  ticket_.store(MakeTicket(generation, kClosed));
  task_.store(task);
  context_.store(context);
  tasks_.store(static_cast<uint32_t>(tasks));
  finished_.store(0);
  ticket_.store(MakeTicket(generation, 0));
  WakeSleepers();
  TakeTasks(generation, 0);
  for (int spin = 0; finished_.load(std::memory_order_acquire) != tasks; ++spin) {
    // A thread that the scheduler took off its core in the middle of a task must be able to come back.
    if (spin < kSpins) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::TakeTasks(uint32_t generation, int thread) {
  Ticket ticket = ticket_.load();
  for (;;) {
    const uint32_t task = static_cast<uint32_t>(ticket);
    if (Generation(ticket) != generation || task >= tasks_.load()) return;
    const Task run = task_.load();
    void* const context = context_.load();
    // Succeeds only while the job is still the one just read.
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1)) continue;
    run(context, task, thread);
    finished_.fetch_add(1, std::memory_order_release);
    ticket = ticket_.load();
  }
}

void ThreadPool::WakeSleepers() {
  if (sleepers_.load() == 0) return;
  // The lock orders this after a worker's last look at the ticket.
  { std::lock_guard<std::mutex> lock(mutex_); }
  wake_.notify_all();
}

bool ThreadPool::AwaitGeneration(uint32_t seen, uint32_t* found) {
  const auto has_news = [&] {
    const Ticket ticket = ticket_.load();
    *found = Generation(ticket);
    return *found != seen && static_cast<uint32_t>(ticket) != kClosed;
  };
  for (int spin = 0; spin < kSpins; ++spin) {
    if (has_news()) return true;
    if (stopping_.load(std::memory_order_relaxed)) return false;
    Pause();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1);
  wake_.wait(lock, [&] { return stopping_ || has_news(); });
  sleepers_.fetch_sub(1);
  return !stopping_;
}

void ThreadPool::Work(int thread) {
  uint32_t seen = 0;
  while (AwaitGeneration(seen, &seen)) TakeTasks(seen, thread);
}

int AvailableCores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    double quota = 0, period = 0;
    if (std::fscanf(file, "%lf %lf", &quota, &period) == 2 && period > 0) {
      cores = std::min(cores, static_cast<int>(std::max(1.0, quota / period)));
    }
    std::fclose(file);
  }
#endif
  return std::max(cores, 1);
}

}  // namespace emu
