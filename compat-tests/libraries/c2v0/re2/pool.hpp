// A pool of threads that run tasks.

#ifndef POOL_HPP
#define POOL_HPP

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

class Pool {
 public:
  explicit Pool(std::size_t threads) {
    try {
      while (threads_.size() < threads) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Pool() { stop(); }
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  std::size_t size() const { return threads_.size(); }

  // A task must not throw.
  void run(std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) throw std::runtime_error("re2 is closing");
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

  // Ends the threads. Tasks that nobody began with are forgotten.
  void stop() {
    std::deque<std::function<void()>> forgotten;  // destroyed without the lock: a task may own anything
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      forgotten.swap(tasks_);
    }
    wake_.notify_all();
    for (std::thread &thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopped_ || !tasks_.empty(); });
        if (stopped_) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

#endif
