#include "base/thread_pool.h"

#include <algorithm>
#include <cstdio>

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

namespace emu {
namespace {

// Phases follow each other within microseconds, so a worker looks for the next one for that long, some tens
// of microseconds, before it sleeps. Bounded, because the JavaScript thread and other processes need its core
// too.
constexpr int kSpins = 1000;

// Where a thread may run that has no core of its own, or hasn't settled.
constexpr int kAnyCore = -1;
constexpr int kNowhere = -2;

// The number of a task that nobody may take, and how many there may be in a Run of several threads.
constexpr uint32_t kClosed = 0xffffffffu;
constexpr int64_t kMostTasks = 0x7fffffff;

constexpr uint64_t MakeTicket(uint32_t generation, uint32_t task) {
  return static_cast<uint64_t>(generation) << 32 | task;
}

constexpr uint32_t Generation(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Numbers of the cores the calling thread may run on, beginning anywhere; empty where nobody tells.
std::vector<int> AllowedCores() {
  std::vector<int> cores;
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  }
  // Thread 0 has the most to do; in two processes it should not have the same core.
  if (!cores.empty()) std::rotate(cores.begin(), cores.begin() + getpid() % cores.size(), cores.end());
#endif
  return cores;
}

}  // namespace

ThreadPool::ThreadPool(int threads)
    : cores_(AllowedCores()), apart_(threads > 1 && static_cast<size_t>(threads) == cores_.size()) {
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
  if (tasks <= 1 || workers_.empty() || tasks > kMostTasks) {
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
  AwaitTasks(static_cast<int>(tasks));
}

void ThreadPool::AwaitTasks(int tasks) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (finished_.load(std::memory_order_acquire) == tasks) return;
    Pause();
  }
  // The scheduler took a thread off its core in the middle of a task; what took it can have this core.
  for (int finished; (finished = finished_.load(std::memory_order_acquire)) != tasks;) {
    finished_.wait(finished, std::memory_order_acquire);
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
    finished_.notify_one();
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

// What the system refuses is left as it is: the work is the same, only slower.
void ThreadPool::Settle(int thread) const {
#if defined(__linux__)
  const int core = apart_ ? cores_[thread] : kAnyCore;
  thread_local int settled = kNowhere;
  if (core == settled) return;
  settled = core;
  const sched_param priority = {};
  if (sched_getscheduler(0) == SCHED_OTHER) sched_setscheduler(0, SCHED_BATCH, &priority);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  for (const int each : cores_) {
    if (!apart_ || each == core) CPU_SET(each, &allowed);
  }
  sched_setaffinity(0, sizeof allowed, &allowed);
#else
  (void)thread;
#endif
}

void ThreadPool::Work(int thread) {
  Settle(thread);
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
