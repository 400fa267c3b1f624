// re2: regular expressions in linear time, and searches on a pool of threads.
//
//   local re2 = require("darksidesync").load("re2")
//   local mail = re2.compile("(\\w+)@(\\w+)")
//   print(mail:match("me@home"))                    --> me  home
//   print(mail:replace("me@home", "\\2 of \\1"))    --> home of me  1
//
//   local task = mail:search(texts, function(index, matches) ... end, function(err, count) ... end)
//   task:cancel()

#include <dss.hpp>
#include <re2/re2.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "pool.hpp"

using namespace std::chrono_literals;

namespace {

constexpr std::size_t BATCH = 100;  // matches in one delivery
constexpr std::size_t AHEAD = 16;   // deliveries of a search that may wait for Lua
constexpr auto ANSWER = 30s;        // for Lua to say what a match is replaced by

// A match as Lua sees it: string.sub(text, first, last) is its text.
struct Match {
  std::size_t first, last;
  std::string text;
};

}  // namespace

template <> struct dss::Convert<Match> {
  static dss_value to(const Match &match, Pack &pack) { return pack.map("first", match.first, "last", match.last, "text", match.text); }
};

namespace {

// Goes from match to match. One that is empty does not follow another at once, so "a*" matches "baa" twice.
class Matches {
 public:
  Matches(const RE2 &re, std::string_view text)
      : re_(re), text_(text), groups_(1 + static_cast<std::size_t>(re.NumberOfCapturingGroups())) {}

  bool next() {
    while (at_ <= text_.size() && re_.Match(text_, at_, text_.size(), RE2::UNANCHORED, groups_.data(), static_cast<int>(groups_.size()))) {
      const bool follows = groups_[0].empty() && found_ && first() == last_;
      at_ = last_ = last();
      found_ = true;
      if (groups_[0].empty()) step();
      if (!follows) return true;
    }
    return false;
  }

  std::size_t first() const { return static_cast<std::size_t>(groups_[0].data() - text_.data()); }
  std::size_t last() const { return first() + groups_[0].size(); }
  std::string text() const { return std::string(groups_[0].data(), groups_[0].size()); }
  // What its groups caught; nil for one that took no part.
  dss::Rest captures() const {
    dss::Rest all;
    for (std::size_t i = 1; i < groups_.size(); ++i) {
      if (groups_[i].data()) all.emplace_back(std::string(groups_[i].data(), groups_[i].size()));
      else all.emplace_back();
    }
    return all;
  }

 private:
  void step() {
    do ++at_;
    while (re_.options().encoding() == RE2::Options::EncodingUTF8 && at_ < text_.size() && (text_[at_] & 0xC0) == 0x80);
  }

  const RE2 &re_;
  std::string_view text_;
  std::vector<re2::StringPiece> groups_;
  std::size_t at_ = 0, last_ = 0;
  bool found_ = false;
};

// What the library has in one Lua state.
class Engine {
 public:
  explicit Engine(dss::Library library)
      : library_(library),
        progress_(library.open_channel("progress", dss::Limits::latest())),
        pool_(std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 4)) {}

  void closing() { pool_.stop(); }

  dss::Library library() const { return library_; }
  const dss::Channel &progress() const { return progress_; }
  Pool &pool() { return pool_; }
  std::string name() { return "job " + std::to_string(++jobs_); }

 private:
  const dss::Library library_;
  const dss::Channel progress_;
  std::atomic<std::uint64_t> jobs_{0};
  Pool pool_;
};

// Work on the pool, which ends with a call of `done`. Everyone who works on it shares it.
class Job : public std::enable_shared_from_this<Job> {
 public:
  virtual ~Job() = default;

  void start() {
    try {
      begin();
    } catch (...) {
      cancel();
      throw;
    }
    finished_one();
  }

  // Lua gets nothing more of it but its end.
  void cancel() { fail("cancelled"); }

  std::string state() const {
    const std::lock_guard lock(mutex_);
    return error_ ? *error_ : ended_ ? "ended" : "running";
  }
  const std::string &name() const { return name_; }

 protected:
  // `limits` are for what Lua has not taken from this job yet.
  Job(Engine &engine, std::shared_ptr<const RE2> re, dss::Callback done, const dss::Limits &limits)
      : engine_(engine),
        library_(engine.library()),
        re_(std::move(re)),
        name_(engine.name()),
        channel_(library_.open_channel(name_.c_str(), limits)),
        hold_(library_),
        done_(std::move(done)) {}

  virtual void begin() = 0;   // calls `run`
  virtual void finish() = 0;  // calls `end`, when all of that has run

  // Has the pool work. An exception fails the job.
  template <class Work> void run(Work work) {
    ++left_;
    engine_.pool().run([self = shared_from_this(), work = std::move(work)] {
      try {
        work();
      } catch (const std::exception &error) {
        self->fail(error.what());
      }
      self->finished_one();
    });
  }

  // Tells Lua, after all else: channels share one queue. The job's own may be full, and the library's first has room, unless the state
  // closes. A request, because the job must live until Lua has all of it: its channel closes with it, and cancels what is queued.
  template <class... V> void end(const V &...results) {
    {
      const std::lock_guard lock(mutex_);
      ended_ = !error_;
    }
    const auto told = [self = shared_from_this()](dss::Answer) {
      self->channel_.close();
      self->hold_ = dss::Hold();
    };
    if (failed_) (void)library_.request(done_, {}, told, state());
    else (void)library_.request(done_, {}, told, std::nullopt, results...);
  }

  bool failed() const { return failed_; }

  void fail(const char *why) {
    {
      const std::lock_guard lock(mutex_);
      if (ended_ || error_) return;
      error_ = why;
      failed_ = true;
    }
    channel_.close();  // cancels what Lua has not taken, and wakes a thread that waits for room
  }

  Engine &engine_;  // only on the pool: its threads end before it does
  const dss::Library library_;
  const std::shared_ptr<const RE2> re_;
  const std::string name_;
  const dss::Channel channel_;

 private:
  void finished_one() {
    if (--left_ == 0) finish();
  }

  dss::Hold hold_;  // until Lua was told of the end
  const dss::Callback done_;
  std::atomic<std::size_t> left_{1};  // what runs or will: `start`, and what it gave the pool
  mutable std::mutex mutex_;
  bool ended_ = false;                // by mutex_
  std::optional<std::string> error_;  // by mutex_
  std::atomic<bool> failed_{false};   // there is an error
};

// Searches texts, each in one go.
class Search : public Job {
 public:
  Search(Engine &engine, std::shared_ptr<const RE2> re, std::vector<std::string> texts, dss::Callback found, dss::Callback done,
         dss::Callback progress)
      : Job(engine, std::move(re), std::move(done), dss::Limits::wait(1s).items(AHEAD)),
        texts_(std::move(texts)),
        found_(std::move(found)),
        progress_(std::move(progress)) {}

 private:
  void begin() override {
    for (std::size_t i = 0; i < texts_.size(); ++i) run([this, i] { search(i); });
  }
  void finish() override { end(matches_.load()); }

  void search(std::size_t index) {
    std::vector<Match> batch;
    for (Matches all(*re_, texts_[index]); !failed() && all.next();) {
      batch.push_back({ all.first() + 1, all.last(), all.text() });
      if (batch.size() == BATCH) deliver(index, std::exchange(batch, {}));
    }
    if (!batch.empty()) deliver(index, batch);
    // Replaces the progress that Lua has not seen yet. If it is refused, the next one will do.
    if (progress_ && !failed()) (void)library_.deliver(dss::To(progress_).on(engine_.progress()).key(name_), ++searched_, texts_.size());
  }

  // Waits for room as long as the job lives.
  void deliver(std::size_t index, const std::vector<Match> &batch) {
    dss::Code code = DSS_TIMED_OUT;
    while (code == DSS_TIMED_OUT && !failed()) code = library_.deliver(dss::To(found_).on(channel_), index + 1, batch);
    if (!failed()) code.or_throw();
    matches_ += batch.size();
  }

  const std::vector<std::string> texts_;
  const dss::Callback found_, progress_;
  std::atomic<std::size_t> searched_{0}, matches_{0};
};

// Replaces each match by what Lua says. The thread waits for Lua meanwhile.
class Gsub : public Job {
 public:
  Gsub(Engine &engine, std::shared_ptr<const RE2> re, std::string text, dss::Callback replace, dss::Callback done)
      : Job(engine, std::move(re), std::move(done), dss::Limits::refuse()), text_(std::move(text)), replace_(std::move(replace)) {}

 private:
  void begin() override { run([this] { gsub(); }); }
  void finish() override { end(result_, count_); }

  void gsub() {
    std::size_t copied = 0;
    for (Matches all(*re_, text_); !failed() && all.next(); ++count_) {
      const std::string match = all.text();
      const auto replacement = library_.wait<std::optional<std::string>>(dss::To(replace_).on(channel_), ANSWER, match, all.captures());
      result_.append(text_, copied, all.first() - copied).append(replacement.value_or(match));
      copied = all.last();
    }
    result_.append(text_, copied);
  }

  const std::string text_;
  const dss::Callback replace_;
  std::string result_;
  std::size_t count_ = 0;
};

// What Lua has of a job. If it is collected, the job goes on.
class Task {
 public:
  explicit Task(std::shared_ptr<Job> job) : job_(std::move(job)) { job_->start(); }
  void cancel() { job_->cancel(); }
  std::string state() const { return job_->state(); }
  std::string text() const { return "re2 " + job_->name() + " (" + job_->state() + ")"; }

 private:
  const std::shared_ptr<Job> job_;
};

class Pattern {
 public:
  explicit Pattern(std::shared_ptr<const RE2> re) : re_(std::move(re)) {}

  // The captures of the first match, the whole match if the pattern has none, or nil.
  dss::Rest match(std::string_view text) const {
    Matches all(*re_, text);
    if (!all.next()) return { dss::Value() };
    return groups() > 0 ? all.captures() : dss::Rest{ all.text() };
  }

  // Replaces all matches; \1 to \9 are captures, \0 is the match. The text, and how many there were.
  std::pair<std::string, int> replace(std::string text, const std::string &rewrite) const {
    std::string error;
    if (!re_->CheckRewriteString(rewrite, &error)) throw std::invalid_argument("re2 cannot replace by '" + rewrite + "': " + error);
    const int count = RE2::GlobalReplace(&text, *re_, rewrite);
    return { std::move(text), count };
  }

  int groups() const { return re_->NumberOfCapturingGroups(); }
  std::map<std::string, int> names() const { return re_->NamedCapturingGroups(); }
  std::string text() const { return "re2 " + re_->pattern(); }

  std::unique_ptr<Task> search(const dss::Call &call, std::vector<std::string> texts, dss::Callback found, dss::Callback done,
                               std::optional<dss::Callback> progress) const {
    return std::make_unique<Task>(std::make_shared<Search>(call.state<Engine>(), re_, std::move(texts), std::move(found), std::move(done),
                                                           progress.value_or(dss::Callback())));
  }
  std::unique_ptr<Task> gsub_async(const dss::Call &call, std::string text, dss::Callback replace, dss::Callback done) const {
    return std::make_unique<Task>(
        std::make_shared<Gsub>(call.state<Engine>(), re_, std::move(text), std::move(replace), std::move(done)));
  }

 private:
  const std::shared_ptr<const RE2> re_;  // jobs share it
};

std::unique_ptr<Pattern> compile(const std::string &pattern, const std::optional<std::map<std::string, bool>> &wanted) {
  RE2::Options options;
  options.set_log_errors(false);
  const std::map<std::string_view, void (RE2::Options::*)(bool)> known = {
    { "case_sensitive", &RE2::Options::set_case_sensitive }, { "dot_nl", &RE2::Options::set_dot_nl },
    { "literal", &RE2::Options::set_literal },               { "longest_match", &RE2::Options::set_longest_match },
    { "never_nl", &RE2::Options::set_never_nl },             { "posix_syntax", &RE2::Options::set_posix_syntax },
  };
  for (const auto &[name, value] : wanted.value_or(std::map<std::string, bool>())) {
    const auto option = known.find(name);
    if (option == known.end()) throw std::invalid_argument("re2 has no option '" + name + "'");
    (options.*option->second)(value);
  }
  auto re = std::make_shared<const RE2>(pattern, options);
  if (!re->ok()) throw std::invalid_argument("re2 cannot compile '" + pattern + "': " + re->error());
  return std::make_unique<Pattern>(std::move(re));
}

}  // namespace

DSS_CPP_LIBRARY("re2", "1.0.0", "^2.1",
                dss::Module<Engine>()
                    .function<&compile>("compile")
                    .function("escape", [](std::string_view text) { return RE2::QuoteMeta(text); })
                    .add(dss::Class<Pattern>("pattern")
                             .method<&Pattern::match>("match")
                             .method<&Pattern::replace>("replace")
                             .method<&Pattern::groups>("groups")
                             .method<&Pattern::names>("names")
                             .method<&Pattern::search>("search")
                             .method<&Pattern::gsub_async>("gsub_async")
                             .text<&Pattern::text>())
                    .add(dss::Class<Task>("task")
                             .method<&Task::cancel>("cancel")
                             .method<&Task::state>("state")
                             .close<&Task::cancel>()
                             .text<&Task::text>()));

DSS_DESCRIBE(compile, "compile", "fun(pattern: string, options?: table<string, boolean>): pattern", "Compiles a pattern.");
DSS_DESCRIBE(escape, "escape", "fun(text: string): string", "A pattern that matches just this text.");
DSS_DESCRIBE(match, "pattern:match", "fun(text: string): string?, ...", "The captures of the first match, or the whole match.");
DSS_DESCRIBE(replace, "pattern:replace", "fun(text: string, rewrite: string): string, integer", "Replaces all matches.");
DSS_DESCRIBE(groups, "pattern:groups", "fun(): integer", "How many groups it has.");
DSS_DESCRIBE(names, "pattern:names", "fun(): table<string, integer>", "The numbers of its named groups.");
DSS_DESCRIBE(search, "pattern:search",
             "fun(texts: string[], found: fun(index: integer, matches: table[]), done: fun(err?: string, count?: integer), "
             "progress?: fun(searched: integer, all: integer)): task",
             "Searches the texts on threads.");
DSS_DESCRIBE(gsub_async, "pattern:gsub_async",
             "fun(text: string, replace: fun(match: string, ...): string?, done: fun(err?: string, text?: string, count?: integer)): task",
             "Replaces each match by what `replace` returns for it; nil keeps it.");
DSS_DESCRIBE(cancel, "task:cancel", "fun()", "Ends the task: `done` gets \"cancelled\".");
DSS_DESCRIBE(state, "task:state", "fun(): string", "\"running\", \"ended\", or its error.");
