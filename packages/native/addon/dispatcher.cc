#include "dispatcher.h"

#include <atomic>
#include <chrono>

namespace emu {
namespace {

// A decode loop asks for its next step within microseconds of the last; waiting for it awake saves the
// wake-up.
constexpr auto kAwake = std::chrono::microseconds(60);

}  // namespace

Dispatcher& Dispatcher::Get() {
  // Never destroyed: its thread may outlive static destruction.
  static Dispatcher* dispatcher = new Dispatcher();
  return *dispatcher;
}

void Dispatcher::Submit(std::function<void()> job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!started_) {
      std::thread([this] { Work(); }).detach();
      started_ = true;
    }
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Dispatcher::Work() {
  for (;;) {
    std::function<void()> job;
    const auto until = std::chrono::steady_clock::now() + kAwake;
    while (!job) {
      std::unique_lock<std::mutex> lock(mutex_);
      if (jobs_.empty() && std::chrono::steady_clock::now() >= until) {
        wake_.wait(lock, [this] { return !jobs_.empty(); });
      }
      if (jobs_.empty()) continue;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace emu
