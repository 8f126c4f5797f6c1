// Threads that run the tasks of one phase at a time. The caller is thread 0 and works too.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace emu {

class ThreadPool {
 public:
  using Task = void (*)(void* context, int64_t task, int thread);

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs task(context, i, thread) for every i below `tasks`, in any order; returns when all are done. One
  // caller at a time.
  void Run(int64_t tasks, Task task, void* context);

 private:
  void Work(int thread);
  void TakeTasks(int thread);
  bool AwaitGeneration(uint64_t seen);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int64_t> next_task_{0};
  std::atomic<int> busy_workers_{0};
  std::atomic<bool> stopping_{false};
  Task task_ = nullptr;
  void* context_ = nullptr;
  int64_t tasks_ = 0;
};

// Cores this process may use: the scheduler's affinity and the control group's quota, at least 1.
int AvailableCores();

}  // namespace emu
