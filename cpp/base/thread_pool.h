// Threads that run the tasks of one phase at a time. The caller is thread 0 and works too.
//
// A phase ends with its last task, so threads that share a core wait for each other. Where there is a thread
// for every core the process may use, each therefore stays on a core of its own: the scheduler, which leaves
// a core idle for milliseconds while two of them share the other, isn't asked. All are batch work to it: what
// wakes up to do little, such as the event loop, goes first.
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

  // Treats the calling thread like the workers, as thread 0. For a thread that does nothing but call Run;
  // what it starts later inherits the core.
  void SettleCaller() const { Settle(0); }

  // Runs task(context, i, thread) for every i below `tasks`, in any order; returns when all are done. One
  // caller at a time.
  void Run(int64_t tasks, Task task, void* context);

 private:
  // A generation (one per Run) in the upper half and the next task's number in the lower, so that a thread
  // that comes late can never take a task of another Run.
  using Ticket = uint64_t;

  void Settle(int thread) const;
  void Work(int thread);
  void TakeTasks(uint32_t generation, int thread);
  void AwaitTasks(int tasks);
  bool AwaitGeneration(uint32_t seen, uint32_t* found);
  void WakeSleepers();

  // The cores there are; empty where nobody tells.
  const std::vector<int> cores_;
  // Thread i stays on cores_[i].
  const bool apart_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<Ticket> ticket_{0};
  std::atomic<int> finished_{0};
  // Of the current Run; written while the ticket is closed.
  std::atomic<Task> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<uint32_t> tasks_{0};
};

// Cores this process may use: the scheduler's affinity and the control group's quota, at least 1.
int AvailableCores();

}  // namespace emu
