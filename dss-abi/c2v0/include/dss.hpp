/* SPDX-License-Identifier: MIT */
/* dss.hpp - DarkSideSync's C interface c2v0 for C++17: RAII, typed functions, and exceptions that become Lua errors.
 *
 * PREVIEW, as dss.h is. Read the head of dss.h first: what it says of threads, ownership and codes holds here. The whole of a library:
 *
 *   #include "dss.hpp"
 *   static std::int64_t add(std::int64_t a, std::int64_t b) { return a + b; }
 *   DSS_CPP_LIBRARY("adder", "1.0.0", "^2.1", dss::Module<>().function<&add>("add"));
 *
 * PARAMETERS AND RESULTS. bool, integers (one out of range is an error), floating point, std::string, std::string_view (good for the call),
 *   std::optional (nil is std::nullopt), std::vector (a list), std::map and std::unordered_map,
 *   dss::Callback, dss::Value (anything), and your own types by dss::Convert.
 *   Parameters only: dss::Call& (the call itself), T& (an object of Class<T>), T* (the same, or nil), S& (the library's state).
 *   Lua can give an object as an argument only: not within a table, and not as the answer to a request.
 *   Results only: void, std::unique_ptr<T> (a new object, or nil), T& (an object that was an argument), dss::Code (a refusal is an error).
 *   dss::Rest is all the arguments that are left, or any number of results; a std::tuple or std::pair is several results.
 *   What you deliver is as results are. A std::unique_ptr<T> keeps its object if the delivery is refused, and is empty if it is taken.
 * EXCEPTIONS. A function may throw: a std::exception becomes a Lua error with its what(), anything else a fixed sentence. Where nobody can
 *   be told (`closing`, `done`, destructors), the exception goes to stderr. None crosses into DSS.
 *   A thread must not end within a function that DSS called (pthread_exit, pthread_cancel): frames of DSS and Lua are on its stack, and
 *   would be unwound. The process is aborted with a sentence.
 * REFUSALS. deliver, request and cancel return a Code, and the compiler warns if you do not look at it. A thread meets refusals in its ordinary
 *   work (the channel is full, the state closes), and an exception that leaves a thread ends the process. Functions that owe you a result
 *   (wait, open_channel) throw dss::Error.
 */
#ifndef DSS_HPP
#define DSS_HPP

#include "dss.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <forward_list>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#define DSS_THREAD_ENDS_ catch (abi::__forced_unwind &) { ::dss::detail::thread_ends(); }
#else
#define DSS_THREAD_ENDS_
#endif
/* Libraries of one process may have classes of the same name. This keeps the dynamic linker from sharing what belongs to one. */
#if defined(_WIN32)
#define DSS_PRIVATE_
#else
#define DSS_PRIVATE_ __attribute__((visibility("hidden")))
#endif

namespace dss {
namespace detail {
DSS_PRIVATE_ inline std::atomic<const dss_api *> table{nullptr};

[[noreturn]] inline void thread_ends() noexcept {
  std::fputs("a thread ended within a function that DarkSideSync called: the process cannot go on\n", stderr);
  std::abort();
}
}  // namespace detail

/// DSS's own functions, for what this file does not have. There are none before a Lua state has loaded the library.
inline const dss_api &api() noexcept { return *detail::table.load(std::memory_order_relaxed); }
/// Tells this file of them. Module does so; a definition that is written as in dss.h does so in its `open`.
inline void use(const dss_api *given) noexcept { detail::table.store(given, std::memory_order_relaxed); }

/// A refusal, thrown.
struct Error : std::runtime_error {
  explicit Error(int number) : std::runtime_error(api().strerror(number)), code(number) {}
  int code;
};

/// What DSS answered: true if it took what it was given. If not, nothing was taken.
struct [[nodiscard]] Code {
  Code(int code) noexcept : number(code) {}
  explicit operator bool() const noexcept { return number == DSS_OK; }
  const char *what() const noexcept { return api().strerror(number); }
  void or_throw() const { if (number != DSS_OK) throw Error(number); }
  friend bool operator==(Code a, Code b) noexcept { return a.number == b.number; }
  friend bool operator!=(Code a, Code b) noexcept { return a.number != b.number; }
  int number;
};

/// A value is not what was wanted: "an integer". For a parameter, it becomes Lua's error about that argument.
struct Mismatch : std::runtime_error {
  explicit Mismatch(const std::string &wanted) : std::runtime_error("wanted " + wanted) {}
  std::string wanted() const { return what() + sizeof "wanted"; }
};

/// A request that was not answered. `ended` says how: DSS_FAILED, DSS_LATE, ...; what() is Lua's error, or a sentence.
struct NoAnswer : std::runtime_error {
  explicit NoAnswer(const dss_answer &answer) : std::runtime_error(answer.error), ended(answer.ended) {}
  std::uint32_t ended;
};

/// A Lua function. Copies share it, and two are equal if they are the same function. DSS refuses one that is empty or gone. [any]
class Callback {
 public:
  Callback() noexcept = default;
  /// Takes a reference of its own. Empty if the function is gone.
  explicit Callback(dss_callback number) noexcept : number_(number && api().retain(number) == DSS_OK ? number : 0) {}
  Callback(const Callback &other) noexcept : Callback(other.number_) {}
  Callback(Callback &&other) noexcept : number_(std::exchange(other.number_, 0)) {}
  Callback &operator=(Callback other) noexcept { std::swap(number_, other.number_); return *this; }
  ~Callback() { if (number_) api().release(number_); }
  dss_callback number() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ != 0; }
  friend bool operator==(const Callback &a, const Callback &b) noexcept { return a.number_ == b.number_; }
  friend bool operator!=(const Callback &a, const Callback &b) noexcept { return a.number_ != b.number_; }
  friend bool operator<(const Callback &a, const Callback &b) noexcept { return a.number_ < b.number_; }

 private:
  dss_callback number_ = 0;
};

/// Any value, as a copy that stays: a std::variant. An object in it is good for the call only.
struct Value : std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<Value>, std::vector<std::pair<Value, Value>>,
                            Callback, dss_object> {
  using variant::variant;
  using Pairs = std::vector<std::pair<Value, Value>>;
  /// The same as a parameter of type T. Throws Mismatch.
  template <class T> T as() const;
};

/// All the arguments that are left; any number of results, or of values in a delivery.
struct Rest : std::vector<Value> {
  using vector::vector;
};

/// The memory behind values while they are handed over.
class Pack {
 public:
  template <class T> dss_value put(const T &value);
  /// A map of keys and values: pack.map("first", 1, "last", 2).
  template <class... T> dss_value map(const T &...pairs) {
    std::vector<dss_value> &items = room(sizeof...(T));
    (items.push_back(put(pairs)), ...);
    return dss_map(items.data(), static_cast<std::uint32_t>(sizeof...(T) / 2));
  }
  dss_value object(const dss_object &object) { return dss_object_value(&objects_.emplace_front(object)); }
  /// An empty array that may grow to so many items.
  std::vector<dss_value> &room(std::size_t count) {
    if (count > std::numeric_limits<std::uint32_t>::max()) throw std::length_error("a list or map has too many items");
    std::vector<dss_value> &items = arrays_.emplace_front();
    items.reserve(count);
    return items;
  }
  /// An object that is DSS's once the values are taken. A refusal leaves it where it is.
  template <class T> dss_value give(const std::unique_ptr<T> &object) {
    using Owner = std::unique_ptr<T>;
    owners_.push_front({ const_cast<Owner *>(&object), [](void *owner) { (void)static_cast<Owner *>(owner)->release(); } });
    return object ? put(*object) : dss_nil();
  }
  void taken() noexcept { for (const auto &[owner, release] : owners_) release(owner); }

 private:
  std::forward_list<std::vector<dss_value>> arrays_;
  std::forward_list<dss_object> objects_;
  std::forward_list<std::pair<void *, void (*)(void *)>> owners_;
};

namespace detail {
/* The class of T's objects. Its address is its identity; Class<T> fills it in, and it has no name until then. */
template <class T> struct Record { DSS_PRIVATE_ static inline dss_class cls = {}; };

template <class T> T *object(const dss_value &value) {
  const dss_class &cls = Record<T>::cls;
  void *data = cls.name ? dss_object_data(&value, &cls) : nullptr;
  if (!data) throw Mismatch(cls.name ? std::string("an object of the class ") + cls.name : "an object of a class that is not added");
  return static_cast<T *>(data);
}
}  // namespace detail

/// How a type goes to Lua and comes back. Specialize it for a type of your own: `to` makes a value, `from` reads one or throws Mismatch.
/// A class without a specialization is one of objects.
template <class T, class = void> struct Convert {
  static_assert(std::is_class_v<T>, "dss: there is no Lua value for this type");
  using Object = T;
  static dss_value to(const T &value, Pack &pack) { return pack.object({ &detail::Record<T>::cls, const_cast<T *>(&value) }); }
};

template <class T> dss_value Pack::put(const T &value) { return Convert<std::decay_t<const T>>::to(value, *this); }

template <> struct Convert<bool> {
  static dss_value to(bool value, Pack &) { return dss_boolean(value); }
  static bool from(const dss_value &value) { return value.kind == DSS_BOOLEAN ? value.as.integer != 0 : throw Mismatch("a boolean"); }
};

template <class T> struct Convert<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, char>>> {
  static constexpr std::int64_t least = std::is_signed_v<T> ? static_cast<std::int64_t>(std::numeric_limits<T>::min()) : 0;
  static constexpr std::int64_t most = sizeof(T) < 8 ? static_cast<std::int64_t>(std::numeric_limits<T>::max()) : INT64_MAX;
  static dss_value to(T value, Pack &) {
    if (!std::is_signed_v<T> && static_cast<std::uint64_t>(value) > INT64_MAX) throw std::out_of_range("an integer is too large for Lua");
    return dss_integer(static_cast<std::int64_t>(value));
  }
  static T from(const dss_value &value) {
    std::int64_t integer = value.as.integer;
    bool fits = value.kind == DSS_INTEGER;
    if (value.kind == DSS_NUMBER && value.as.number >= -0x1p63 && value.as.number < 0x1p63) {
      integer = static_cast<std::int64_t>(value.as.number);
      fits = static_cast<double>(integer) == value.as.number;  // 3.0 is an integer, as for Lua's own functions
    }
    if (fits && integer >= least && integer <= most) return static_cast<T>(integer);
    if (most < INT64_MAX) throw Mismatch("an integer from " + std::to_string(least) + " to " + std::to_string(most));
    throw Mismatch(least < 0 ? "an integer" : "an integer from 0 on");
  }
};

template <class T> struct Convert<T, std::enable_if_t<std::is_floating_point_v<T>>> {
  static dss_value to(T value, Pack &) { return dss_number(static_cast<double>(value)); }
  static T from(const dss_value &value) {
    if (value.kind == DSS_INTEGER) return static_cast<T>(value.as.integer);
    return value.kind == DSS_NUMBER ? static_cast<T>(value.as.number) : throw Mismatch("a number");
  }
};

template <> struct Convert<std::string_view> {
  static dss_value to(std::string_view value, Pack &) { return dss_bytes(value.data(), value.size()); }
  static std::string_view from(const dss_value &value) {
    return value.kind == DSS_STRING ? std::string_view(value.as.string, value.size) : throw Mismatch("a string");
  }
};
template <> struct Convert<std::string> : Convert<std::string_view> {
  static std::string from(const dss_value &value) { return std::string(Convert<std::string_view>::from(value)); }
};
template <> struct Convert<const char *> {
  static dss_value to(const char *value, Pack &) { return value ? dss_string(value) : dss_nil(); }
};
template <> struct Convert<char *> : Convert<const char *> {};
template <> struct Convert<std::nullopt_t> { static dss_value to(std::nullopt_t, Pack &) { return dss_nil(); } };
template <> struct Convert<std::monostate> { static dss_value to(std::monostate, Pack &) { return dss_nil(); } };
template <> struct Convert<dss_object> { static dss_value to(const dss_object &value, Pack &pack) { return pack.object(value); } };

template <> struct Convert<Callback> {
  static dss_value to(const Callback &value, Pack &) { return value ? dss_function_value(value.number()) : dss_nil(); }
  static Callback from(const dss_value &value) {
    Callback callback(value.kind == DSS_CALLBACK ? value.as.callback : throw Mismatch("a function"));
    return callback ? std::move(callback) : throw Error(DSS_INVALID_CALLBACK);
  }
};

template <class T> struct Convert<T *> {
  static dss_value to(T *value, Pack &pack) { return value ? pack.put(*value) : dss_nil(); }
  static T *from(const dss_value &value) {
    if (value.kind == DSS_NIL) return nullptr;
    try { return detail::object<typename Convert<std::remove_const_t<T>>::Object>(value); }
    catch (const Mismatch &no) { throw Mismatch(no.wanted() + " or nil"); }
  }
};
template <class T> struct Convert<std::unique_ptr<T>> {
  static dss_value to(const std::unique_ptr<T> &value, Pack &pack) { return pack.give(value); }
};

template <class T> struct Convert<std::optional<T>> {
  static dss_value to(const std::optional<T> &value, Pack &pack) { return value ? pack.put(*value) : dss_nil(); }
  static std::optional<T> from(const dss_value &value) {
    if (value.kind == DSS_NIL) return std::nullopt;
    try { return Convert<T>::from(value); } catch (const Mismatch &no) { throw Mismatch(no.wanted() + " or nil"); }
  }
};

template <class T> struct Convert<std::vector<T>> {
  static dss_value to(const std::vector<T> &all, Pack &pack) {
    std::vector<dss_value> &items = pack.room(all.size());
    for (const auto &one : all) items.push_back(Convert<T>::to(one, pack));
    return dss_list(items.data(), static_cast<std::uint32_t>(items.size()));
  }
  static std::vector<T> from(const dss_value &value) {
    if (value.kind != DSS_LIST && (value.kind != DSS_MAP || value.count != 0)) throw Mismatch("a list");
    std::vector<T> all;
    all.reserve(value.count);
    for (std::uint32_t i = 0; i < value.count; ++i) {
      try { all.push_back(Convert<T>::from(value.as.items[i])); }
      catch (const Mismatch &no) { throw Mismatch("a list whose item " + std::to_string(i + 1) + " is " + no.wanted()); }
    }
    return all;
  }
};

namespace detail {
template <class All, class Key, class Mapped> struct ConvertMap {
  static dss_value to(const All &all, Pack &pack) {
    std::vector<dss_value> &items = pack.room(all.size() * 2);
    for (const auto &[key, value] : all) { items.push_back(pack.put(key)); items.push_back(pack.put(value)); }
    return dss_map(items.data(), static_cast<std::uint32_t>(all.size()));
  }
  /* A list is a map, too: from 1 to its length. */
  static All from(const dss_value &value) {
    All all;
    const bool list = value.kind == DSS_LIST;
    if (!list && value.kind != DSS_MAP) throw Mismatch("a table");
    for (std::uint32_t i = 0; i < value.count; ++i) {
      const dss_value key = list ? dss_integer(std::int64_t{i} + 1) : value.as.items[2 * i];
      all.insert(all.end(), { part<Key>("key", key), part<Mapped>("value", value.as.items[list ? i : 2 * i + 1]) });
    }
    return all;
  }
  template <class T> static T part(const char *what, const dss_value &value) {
    try { return Convert<T>::from(value); }
    catch (const Mismatch &no) { throw Mismatch(std::string("a table whose every ") + what + " is " + no.wanted()); }
  }
};
}  // namespace detail

template <class K, class V> struct Convert<std::map<K, V>> : detail::ConvertMap<std::map<K, V>, K, V> {};
template <class K, class V> struct Convert<std::unordered_map<K, V>> : detail::ConvertMap<std::unordered_map<K, V>, K, V> {};
template <> struct Convert<Value::Pairs> : detail::ConvertMap<Value::Pairs, Value, Value> {};

template <> struct Convert<Value> {
  static dss_value to(const Value &value, Pack &pack) {
    return std::visit([&](const auto &one) { return pack.put(one); }, static_cast<const Value::variant &>(value));
  }
  static Value from(const dss_value &value) {
    switch (value.kind) {
      case DSS_BOOLEAN: return value.as.integer != 0;
      case DSS_INTEGER: return value.as.integer;
      case DSS_NUMBER: return value.as.number;
      case DSS_STRING: return Convert<std::string>::from(value);
      case DSS_LIST: return Convert<std::vector<Value>>::from(value);
      case DSS_MAP: return Convert<Value::Pairs>::from(value);
      case DSS_CALLBACK: return Convert<Callback>::from(value);
      case DSS_OBJECT: return *value.as.object;
      default: return {};
    }
  }
};
template <class T> T Value::as() const {
  Pack pack;
  return Convert<T>::from(pack.put(*this));
}

/* What is no single value. */
template <> struct Convert<Code> {};
template <> struct Convert<Rest> {};
template <class... T> struct Convert<std::tuple<T...>> { using Several = void; };
template <class A, class B> struct Convert<std::pair<A, B>> { using Several = void; };

namespace detail {
template <class T, class = void> struct IsObject : std::false_type {};
template <class T> struct IsObject<T, std::void_t<typename Convert<T>::Object>> : std::true_type {};
template <class T, class = void> struct IsSeveral : std::false_type {};
template <class T> struct IsSeveral<T, std::void_t<typename Convert<T>::Several>> : std::true_type {};

/* Runs what DSS called where no error can be raised. */
template <class Body> void contain(const char *where, Body &&body) noexcept {
  const char *const text = "an exception left %s of a library of DarkSideSync: %s\n";
  try { body(); }
  DSS_THREAD_ENDS_
  catch (const std::exception &error) { std::fprintf(stderr, text, where, error.what()); }
  catch (...) { std::fprintf(stderr, text, where, "no std::exception"); }
}

/* Gives values to `send`, which returns a code. If that is DSS_OK, objects among them are DSS's. */
template <class Send, class... V> int hand_over(Send &&send, const V &...values) {
  Pack pack;
  int code;
  if constexpr ((std::is_same_v<V, Rest> || ...)) {
    std::vector<dss_value> all;
    const auto add = [&](const auto &value) {
      if constexpr (std::is_same_v<decltype(value), const Rest &>) for (const Value &one : value) all.push_back(pack.put(one));
      else all.push_back(pack.put(value));
    };
    (add(values), ...);
    code = send(all.data(), all.size());
  } else {
    const dss_value all[] = { pack.put(values)..., dss_nil() };
    code = send(all, sizeof...(V));
  }
  if (code == DSS_OK) pack.taken();
  return code;
}
}  // namespace detail

/// The limits of a channel: Limits::wait(100ms).items(64).
struct Limits : dss_limits {
  static Limits refuse() noexcept { return Limits(DSS_REFUSE, 0); }
  /// `deliver` waits that long for room.
  static Limits wait(std::chrono::nanoseconds time) noexcept { return Limits(DSS_WAIT, static_cast<std::uint64_t>(time.count())); }
  static Limits drop_oldest() noexcept { return Limits(DSS_DROP_OLDEST, 0); }
  static Limits latest() noexcept { return Limits(DSS_LATEST, 0); }
  Limits items(std::uint64_t most) const noexcept { Limits all = *this; all.dss_limits::items = most; return all; }
  Limits bytes(std::uint64_t most) const noexcept { Limits all = *this; all.dss_limits::bytes = most; return all; }

 private:
  Limits(std::uint32_t kind, std::uint64_t wait) noexcept : dss_limits{ sizeof(dss_limits), kind, 0, 0, wait } {}
};

/// A channel, which closes with this object: what is queued in it is cancelled then. [any]
class Channel {
 public:
  Channel() noexcept = default;
  Channel(Channel &&other) noexcept : library_(std::exchange(other.library_, 0)), number_(std::exchange(other.number_, 0)) {}
  Channel &operator=(Channel other) noexcept { std::swap(library_, other.library_); std::swap(number_, other.number_); return *this; }
  ~Channel() { close(); }
  /// Closes it now. Other threads may still deliver to it, and are refused.
  void close() const noexcept { if (library_) (void)api().close_channel(library_, number_); }
  dss_channel number() const noexcept { return number_; }

 private:
  friend class Library;
  Channel(dss_library library, dss_channel number) noexcept : library_(library), number_(number) {}
  dss_library library_ = 0;
  dss_channel number_ = 0;
};

/// Where a delivery goes: a Lua function, or To(function).on(channel).key("progress").ticket(ticket).
class To {
 public:
  To(const Callback &callback) noexcept : raw_(dss_to(callback.number(), nullptr, 0)) {}
  To &on(const Channel &channel) noexcept { raw_.channel = channel.number(); return *this; }
  /// For Limits::latest.
  To &key(std::string_view bytes) noexcept { raw_.key = bytes.data(); raw_.key_size = bytes.size(); return *this; }
  /// Where the ticket is stored, for Library::cancel.
  To &ticket(dss_ticket &ticket) noexcept { ticket_ = &ticket; return *this; }

 private:
  friend class Library;
  dss_delivery raw_;
  dss_ticket *ticket_ = nullptr;
};

/// How long a request may take, and before that, how long until Lua must have begun with it. A time that is over already is not "none".
struct Deadline {
  Deadline() noexcept = default;
  template <class A, class B> Deadline(std::chrono::duration<A, B> finish) noexcept : finish_ns(nanoseconds(finish)) {}
  template <class A, class B> Deadline(A begin, B finish) noexcept : begin_ns(nanoseconds(begin)), finish_ns(nanoseconds(finish)) {}
  std::uint64_t begin_ns = 0, finish_ns = 0;

 private:
  static std::uint64_t nanoseconds(std::chrono::duration<double, std::nano> time) noexcept {
    return time.count() < 1 ? 1 : time.count() > 9e18 ? 0 : static_cast<std::uint64_t>(time.count());
  }
};

/// How a request ended. Good until the function that got it returns.
class Answer {
 public:
  explicit Answer(const dss_answer &raw) noexcept : raw_(&raw) {}
  explicit operator bool() const noexcept { return raw_->ended == DSS_ANSWERED; }
  const dss_answer &raw() const noexcept { return *raw_; }
  /// What the Lua function returned: void, one type, a tuple or pair of several, or Rest. Throws NoAnswer, or Mismatch.
  template <class R> R get() const {
    if (!*this) throw NoAnswer(*raw_);
    if constexpr (std::is_void_v<R>) return;
    else if constexpr (detail::IsSeveral<R>::value) return several<R>(std::make_index_sequence<std::tuple_size_v<R>>());
    else if constexpr (std::is_same_v<R, Rest>) {
      Rest all;
      for (std::size_t i = 0; i < raw_->count; ++i) all.push_back(one<Value>(i));
      return all;
    } else return one<R>(0);
  }

 private:
  template <class R, std::size_t... I> R several(std::index_sequence<I...>) const { return R{ one<std::tuple_element_t<I, R>>(I)... }; }
  template <class T> T one(std::size_t index) const {
    try { return Convert<T>::from(index < raw_->count ? raw_->values[index] : dss_nil()); }
    catch (const Mismatch &no) { throw Mismatch(no.wanted() + " as result #" + std::to_string(index + 1) + " of the Lua function"); }
  }
  const dss_answer *raw_;
};

/// The library in one Lua state: a handle. DSS refuses one whose state closed. A function throws only if it says so, or if a
/// Convert does. [any]
class Library {
 public:
  explicit Library(dss_library handle = 0) noexcept : handle_(handle) {}
  dss_library handle() const noexcept { return handle_; }

  /// Has Lua call a function with these values. [blocks] under Limits::wait
  template <class... V> Code deliver(To to, V &&...values) const {
    return send(to, [&](const dss_delivery &delivery) { return api().deliver(handle_, &delivery, to.ticket_); }, std::forward<V>(values)...);
  }

  /// Asks a Lua function. `done` gets the dss::Answer once, on the thread that ends the request, perhaps before this returns, and must not
  /// wait there. It is destroyed after that. If the request is refused, `done` is destroyed and not called.
  template <class Done, class... V> Code request(To to, Deadline deadline, Done &&done, V &&...values) const {
    using Context = std::decay_t<Done>;
    std::unique_ptr<Context> context(new (std::nothrow) Context(std::forward<Done>(done)));
    if (!context) return DSS_OUT_OF_MEMORY;
    const auto run = [](void *data, const dss_answer *answer) noexcept {
      detail::contain("`done`", [&] { (*std::unique_ptr<Context>(static_cast<Context *>(data)))(Answer(*answer)); });
    };
    return send(to, [&](const dss_delivery &delivery) {
      const int code = api().request(handle_, &delivery, deadline.begin_ns, deadline.finish_ns, run, context.get(), to.ticket_);
      if (code == DSS_OK) (void)context.release();  // perhaps it is gone already
      return code;
    }, std::forward<V>(values)...);
  }

  /// Asks a Lua function, and waits for what it returns. Throws Error, NoAnswer, or Mismatch. Refused on Lua's thread. [blocks]
  template <class R, class... V> R wait(To to, Deadline deadline, V &&...values) const {
    static_assert(!std::is_same_v<R, std::string_view> && !std::is_pointer_v<R>, "dss: what this refers to is gone when wait returns");
    struct Result { std::optional<std::conditional_t<std::is_void_v<R>, bool, R>> value; std::exception_ptr error; } result;
    const auto run = [](void *data, const dss_answer *answer) noexcept {
      Result &into = *static_cast<Result *>(data);
      try {
        if constexpr (std::is_void_v<R>) Answer(*answer).get<void>();
        else into.value.emplace(Answer(*answer).get<R>());
      }
      DSS_THREAD_ENDS_
      catch (...) { into.error = std::current_exception(); }
    };
    send(to, [&](const dss_delivery &delivery) {
      return api().wait(handle_, &delivery, deadline.begin_ns, deadline.finish_ns, run, &result);
    }, std::forward<V>(values)...).or_throw();
    if (result.error) std::rethrow_exception(result.error);
    if constexpr (!std::is_void_v<R>) return std::move(*result.value);
  }

  Code cancel(dss_ticket ticket) const noexcept { return api().cancel(handle_, ticket); }
  std::size_t cancel_all(const Callback &callback) const noexcept { return api().cancel_all(handle_, callback.number()); }
  /// Throws Error. `stats()` in Lua shows the channel under that name.
  Channel open_channel(const char *name, const Limits &limits) const {
    dss_channel number = 0;
    Code(api().open_channel(handle_, name, &limits, &number)).or_throw();
    return Channel(handle_, number);
  }
  Code limit(const Limits &limits) const noexcept { return api().limit(handle_, DSS_FIRST_CHANNEL, &limits); }
  Code keep_alive(bool keeps) const noexcept { return api().keep_alive(handle_, keeps); }
  Code unregister() const noexcept { return api().unregister(handle_); }
  bool on_lua_thread() const noexcept { return api().on_lua_thread(handle_) != 0; }

 private:
  template <class Send, class... V> static Code send(To &to, Send &&send, V &&...values) {
    static_assert(((std::is_copy_constructible_v<std::decay_t<V>> || !std::is_lvalue_reference_v<V>) && ...), "dss: std::move it");
    try {
      return detail::hand_over([&](const dss_value *all, std::size_t count) {
        to.raw_.values = all;
        to.raw_.count = count;
        return send(to.raw_);
      }, values...);
    } catch (const std::bad_alloc &) { return DSS_OUT_OF_MEMORY; }
  }
  dss_library handle_;
};

/// Keeps `run()` in Lua going while it exists. False if the library is gone. [any]
class Hold {
 public:
  Hold() noexcept = default;
  explicit Hold(Library library) noexcept : library_(api().hold(library.handle()) == DSS_OK ? library.handle() : 0) {}
  Hold(Hold &&other) noexcept : library_(std::exchange(other.library_, 0)) {}
  Hold &operator=(Hold other) noexcept { std::swap(library_, other.library_); return *this; }
  ~Hold() { if (library_) api().let_go(library_); }
  explicit operator bool() const noexcept { return library_ != 0; }

 private:
  dss_library library_ = 0;
};

namespace detail {
struct Raised { int code; };  // DSS has the error already
}

/// The call that Lua makes. [lua]
class Call {
 public:
  explicit Call(dss_call raw) noexcept : raw_(raw) {}
  dss_call raw() const noexcept { return raw_; }
  Library library() const noexcept { return Library(api().library(raw_)); }
  /// The library's state: S is the S of its Module<S>.
  template <class S> S &state() const noexcept { return *static_cast<S *>(api().state(raw_)); }
  /// Raises any value as a Lua error.
  template <class T> [[noreturn]] void raise(const T &value) const {
    Pack pack;
    const dss_value error = pack.put(value);
    throw detail::Raised{ api().raise(raw_, &error) };
  }

 private:
  dss_call raw_;
};
template <> struct Convert<Call> {};

namespace detail {
/* Runs what Lua called. */
template <class Body> int guard(dss_call call, Body &&body) noexcept {
  const auto fail = [&](const char *what) { const dss_value error = dss_string(what); return api().raise(call, &error); };
  try { body(); return DSS_OK; }
  DSS_THREAD_ENDS_
  catch (const Raised &raised) { return raised.code; }
  catch (const std::exception &error) { return fail(error.what()); }
  catch (...) { return fail("the library threw an exception that is no std::exception"); }
}

template <class A> using Bare = std::remove_cv_t<std::remove_reference_t<A>>;
/* Parameters are kept until the call: objects, the state and the call by address. */
template <class A> constexpr bool by_address = std::is_same_v<Bare<A>, Call> || IsObject<Bare<A>>::value;
template <class A> using Kept = std::conditional_t<by_address<A>, Bare<A> *, Bare<A>>;

/* The arguments of a call. The first T& is not one of them: it is the object of a method, or the library's state. */
template <class T, bool is_method> struct Arguments {
  Call call;
  void *self;
  const dss_value *values;
  std::size_t count, at = 0;
  bool has_self = false;

  T *target() { has_self = true; return static_cast<T *>(is_method ? self : api().state(call.raw())); }

  template <class A> Kept<A> next() {
    using B = Bare<A>;
    constexpr bool changes = std::is_lvalue_reference_v<A> && !std::is_const_v<std::remove_reference_t<A>>;
    static_assert(by_address<A> ? std::is_lvalue_reference_v<A> : !changes, "dss: objects and Call by reference, all else by value");
    if constexpr (std::is_same_v<B, Call>) return &call;
    else if constexpr (std::is_same_v<B, Rest>) {
      Rest rest;
      for (; at < count; ++at) rest.push_back(Convert<Value>::from(values[at]));
      return rest;
    } else {
      if constexpr (std::is_same_v<B, T>) if (!has_self) return target();
      const dss_value value = at < count ? values[at] : dss_nil();
      ++at;
      try {
        if constexpr (by_address<A>) return object<B>(value);
        else return Convert<B>::from(value);
      } catch (const Mismatch &no) { throw Raised{ api().bad_argument(call.raw(), at, no.wanted().c_str()) }; }
    }
  }
};

template <class R> void give(dss_call call, R &&result) {
  using B = Bare<R>;
  static_assert(!IsObject<B>::value || std::is_lvalue_reference_v<R>, "dss: return a new object as std::unique_ptr");
  if constexpr (std::is_same_v<B, Code>) { if (!result) throw Raised{ result.number }; }
  else if constexpr (IsSeveral<B>::value) {
    std::apply([&](auto &&...each) { (give(call, std::forward<decltype(each)>(each)), ...); }, std::forward<R>(result));
  }
  else if constexpr (std::is_same_v<B, Rest>) for (const Value &each : result) give(call, each);
  else {
    const int code = hand_over([&](const dss_value *value, std::size_t) { return api().result(call, value); }, result);
    if (code != DSS_OK) throw Raised{ code };
  }
}

template <class... A> struct Types {};
template <class F> struct Signature;
template <class R, class... A> struct Signature<R (*)(A...)> { using Result = R; using Parameters = Types<A...>; };
template <class R, class C, class... A> struct Signature<R (C::*)(A...)> : Signature<R (*)(A...)> {};
template <class R, class C, class... A> struct Signature<R (C::*)(A...) const> : Signature<R (*)(A...)> {};
template <class R, class... A> struct Signature<R (*)(A...) noexcept> : Signature<R (*)(A...)> {};
template <class R, class C, class... A> struct Signature<R (C::*)(A...) noexcept> : Signature<R (*)(A...)> {};
template <class R, class C, class... A> struct Signature<R (C::*)(A...) const noexcept> : Signature<R (*)(A...)> {};

template <class R, class All, class F, class... A> void call(All arguments, F &&function, Types<A...>) {
  std::tuple<Kept<A>...> kept{ arguments.template next<A>()... };  // braces: from left to right
  const auto run = [&](auto &...each) -> R {
    return function([&]() -> A && { if constexpr (by_address<A>) return *each; else return static_cast<A &&>(each); }()...);
  };
  if constexpr (std::is_void_v<R>) std::apply(run, kept);
  else give<R>(arguments.call.raw(), std::apply(run, kept));
}

template <class T, bool is_method, class F> int run(F function, dss_call raw, void *self, const dss_value *values, std::size_t count) noexcept {
  return guard(raw, [&] {
    using R = typename Signature<F>::Result;
    Arguments<T, is_method> arguments{ Call(raw), self, values, count };
    if constexpr (std::is_member_function_pointer_v<F>) {
      T *const object = arguments.target();
      const auto member = [&](auto &&...each) -> R { return (object->*function)(std::forward<decltype(each)>(each)...); };
      call<R>(arguments, member, typename Signature<F>::Parameters());
    } else call<R>(arguments, function, typename Signature<F>::Parameters());
  });
}

template <class T, bool is_method, auto F> dss_method entry(const char *name) noexcept {
  return { name, [](dss_call call, void *self, const dss_value *values, std::size_t count) noexcept {
    return run<T, is_method>(F, call, self, values, count);
  }, nullptr };
}
/* A lambda without captures is a plain function, whose address is the method's data. */
template <class T, bool is_method, class F> dss_method entry(const char *name, F lambda) noexcept {
  return { name, [](dss_call call, void *self, const dss_value *values, std::size_t count) noexcept {
    return run<T, is_method>(reinterpret_cast<decltype(+lambda)>(api().data(call)), call, self, values, count);
  }, reinterpret_cast<void *>(+lambda) };
}
}  // namespace detail

/// A plain function, or a lambda without captures, as a dss_method: for definitions that are written as in dss.h.
template <auto F> dss_method method(const char *name) noexcept { return detail::entry<void, false, F>(name); }
template <class F> dss_method method(const char *name, F lambda) noexcept { return detail::entry<void, false>(name, lambda); }

/// Describes a class of objects, once. A method is a member of T, or a function or lambda that takes a T&.
template <class T> class Class {
  static_assert(std::is_nothrow_destructible_v<T>, "dss: Lua collects objects: ~T must not throw");

 public:
  explicit Class(const char *name) noexcept {
    cls_.size = sizeof cls_;
    cls_.name = name;
    cls_.drop = [](void *data) noexcept { detail::contain("a destructor", [&] { delete static_cast<T *>(data); }); };
  }
  template <auto F> Class &method(const char *name) { methods_.push_back(detail::entry<T, true, F>(name)); return *this; }
  template <class F> Class &method(const char *name, F lambda) { methods_.push_back(detail::entry<T, true>(name, lambda)); return *this; }
  /// For `object:close()` and `<close>`: called once at most.
  template <auto F> Class &close() noexcept { cls_.close = detail::entry<T, true, F>("").run; return *this; }
  /// For `tostring`.
  template <auto F> Class &text() noexcept { cls_.text = detail::entry<T, true, F>("").run; return *this; }

 private:
  template <class> friend class Module;
  dss_class cls_ = {};
  std::vector<dss_method> methods_;
};

/// Describes a library. Each Lua state that loads it gets an S, made by S(dss::Library) or S(). When the state closes, S::closing() is
/// called on Lua's thread, if S has it, public: stop your threads there. Stop them in ~S, too, which runs on any thread: a library that
/// leaves by unregister is not told of a close. A function is a member of S, a plain function, or a lambda without captures.
template <class S = void> class Module {
 public:
  template <auto F> Module &function(const char *name) { functions_.push_back(detail::entry<S, false, F>(name)); return *this; }
  template <class F> Module &function(const char *name, F lambda) { functions_.push_back(detail::entry<S, false>(name, lambda)); return *this; }
  template <class T> Module &add(Class<T> cls) {
    cls.methods_.push_back({ nullptr, nullptr, nullptr });
    methods_.push_back(std::make_shared<std::vector<dss_method>>(std::move(cls.methods_)));
    cls.cls_.methods = methods_.back()->data();
    detail::Record<T>::cls = cls.cls_;
    classes_.push_back(&detail::Record<T>::cls);
    return *this;
  }
  Module &limits(const Limits &limits) { limits_ = limits; return *this; }
  Module &keeps_alive() noexcept { flags_ = DSS_KEEPS_ALIVE; return *this; }

  /// The definition. It refers to this object, which must stay as it is.
  const dss_definition &definition() {
    functions_.push_back({ nullptr, nullptr, nullptr });
    classes_.push_back(nullptr);
    definition_ = { sizeof definition_, flags_, functions_.data(), classes_.data(), limits_ ? &*limits_ : nullptr, open, closing, release };
    return definition_;
  }

 private:
  static int open(const dss_api *given, dss_call call, void **state) noexcept {
    use(given);
    return detail::guard(call, [&] {
      if constexpr (std::is_constructible_v<S, Library>) *state = new S(Call(call).library());
      else if constexpr (!std::is_void_v<S>) *state = new S();
    });
  }
  template <class T> static auto close(T *state) -> decltype(state->closing(), void()) { state->closing(); }
  static void close(void *) noexcept {}
  static void closing(void *state, dss_library) noexcept { detail::contain("`closing`", [&] { close(static_cast<S *>(state)); }); }
  static void release(void *state) noexcept {
    detail::contain("a destructor", [&] { if constexpr (!std::is_void_v<S>) delete static_cast<S *>(state); });
  }

  std::vector<dss_method> functions_;
  std::vector<std::shared_ptr<std::vector<dss_method>>> methods_;  // classes refer to them, whatever copy of this they are in
  std::vector<const dss_class *> classes_;
  std::optional<Limits> limits_;
  std::uint32_t flags_ = 0;
  dss_definition definition_ = {};
};

namespace detail {
/* Made once and never freed: DSS may look at it until the process ends. */
template <class Make> const dss_definition &define(Make make) noexcept {
  static const dss_definition failed = { sizeof failed, 0, nullptr, nullptr, nullptr,
    [](const dss_api *, dss_call, void **) noexcept -> int { return DSS_OUT_OF_MEMORY; }, nullptr, nullptr };
  try {
    static const dss_definition &definition = (new auto(make()))->definition();
    return definition;
  } catch (...) { return failed; }
}
}  // namespace detail
}  // namespace dss

template <> struct std::hash<dss::Callback> {
  std::size_t operator()(const dss::Callback &callback) const noexcept { return std::hash<dss_callback>()(callback.number()); }
};

/* Declares the library, once: DSS_CPP_LIBRARY("adder", "1.0.0", "^2.1", dss::Module<>().function<&add>("add")); */
#define DSS_CPP_LIBRARY(name_, version_, required_, ...)                                                                            \
  static const dss_definition &dss_cpp_definition_() noexcept { return ::dss::detail::define([] { return __VA_ARGS__; }); }         \
  DSS_LIBRARY(name_, version_, required_, dss_cpp_definition_())

#endif /* DSS_HPP */
