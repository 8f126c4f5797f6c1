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
  // A generation (one per Run) in the upper half and the next task's number in the lower, so that a thread
  // that comes late can never take a task of another Run.
  using Ticket = uint64_t;

  void Work(int thread);
  void TakeTasks(uint32_t generation, int thread);
  bool AwaitGeneration(uint32_t seen, uint32_t* found);
  void WakeSleepers();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<Ticket> ticket_{0};
  std::atomic<int64_t> finished_{0};
  // Of the current Run; written while the ticket is closed.
  std::atomic<Task> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<uint32_t> tasks_{0};
};

// Cores this process may use: the scheduler's affinity and the control group's quota, at least 1.
int AvailableCores();

}  // namespace emu
