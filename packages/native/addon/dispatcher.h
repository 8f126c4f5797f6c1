// One thread of the process that runs native work in the order it was asked for, so that JavaScript never
// waits.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace emu {

class Dispatcher {
 public:
  // The process's dispatcher. It starts with the first job and ends with the process.
  static Dispatcher& Get();

  void Submit(std::function<void()> job);

 private:
  Dispatcher() = default;
  void Work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool started_ = false;
};

}  // namespace emu
