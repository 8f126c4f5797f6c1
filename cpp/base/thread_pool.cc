#include "base/thread_pool.h"

#include <algorithm>
#include <cstdio>

namespace emu {
namespace {

// Phases follow each other within microseconds, so a worker looks for the next one for about that long before
// it sleeps. Bounded, because the JavaScript thread needs a core too.
constexpr int kSpins = 20000;

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
  if (tasks <= 1 || workers_.empty()) {
    for (int64_t i = 0; i < tasks; ++i) task(context, i, 0);
    return;
  }
  task_ = task;
  context_ = context;
  tasks_ = tasks;
  next_task_.store(0, std::memory_order_relaxed);
  busy_workers_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  TakeTasks(0);
  for (int spin = 0; busy_workers_.load(std::memory_order_acquire) != 0; ++spin) {
    // A worker that the scheduler took off its core must be able to come back.
    if (spin < kSpins) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::TakeTasks(int thread) {
  for (;;) {
    const int64_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    task_(context_, task, thread);
  }
}

bool ThreadPool::AwaitGeneration(uint64_t seen) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (generation_.load(std::memory_order_acquire) != seen) return true;
    Pause();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [&] { return stopping_ || generation_.load(std::memory_order_acquire) != seen; });
  return generation_.load(std::memory_order_acquire) != seen;
}

void ThreadPool::Work(int thread) {
  uint64_t seen = 0;
  while (AwaitGeneration(seen)) {
    ++seen;
    TakeTasks(thread);
    busy_workers_.fetch_sub(1, std::memory_order_release);
  }
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
