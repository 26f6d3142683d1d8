// The Outbox keeps messages until the broker has taken responsibility for them.
//
// Messages are published in the order they were added, only so many at a time that a heartbeat need not queue behind
// the rest. After every connection all that is not acknowledged is published again, in order, so that a message may
// arrive twice but never not at all. The outbox lives in memory and is bounded: beyond its limits the oldest message is
// given up, with an error in the log. With a journal, what it holds is delivered by the next worker if this one dies.
// Thread-safe; `add` never blocks on the network.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stop_token>
#include <string>
#include <unordered_map>

#include "base/log.h"
#include "propeller/journal.h"
#include "propeller/session.h"

namespace proplet::propeller {

struct OutboxLimits {
  std::size_t messages = 65536;
  std::size_t bytes = std::size_t{64} << 20;
  std::size_t window = 10;  // published and not acknowledged
};

class Outbox {
 public:
  // An answer belongs to the task that is its subject, and keeps the promise made for it. What is confidential is
  // never written to the journal.
  enum class Kind : std::uint8_t { message, confidential_message, answer, confidential_answer };

  // `publisher`, `log` and `journal`, if there is one, must outlive the outbox.
  Outbox(Publisher& publisher, Log& log, OutboxLimits limits = {}, Journal* journal = nullptr);

  // `subject` names the message in logs.
  void add(std::string topic, std::string payload, std::string subject, Kind kind = Kind::message);
  // An answer of this task will be added.
  void promise(const std::string& task_id);
  // A message or an answer that an earlier worker left in the journal.
  void add_left_behind(JournalEntry entry);
  // Whether an answer of this task is held.
  [[nodiscard]] bool holds_answer(const std::string& task_id) const;

  // To be called by the session's handler.
  void connected();
  void disconnected();
  void acknowledged(std::uint64_t ticket);

  // Waits until everything is acknowledged; false if time ran out or a stop was requested first.
  bool flush(std::chrono::milliseconds timeout, const std::stop_token& stop);
  [[nodiscard]] std::size_t pending() const;

 private:
  struct Message {
    std::string topic;
    std::string payload;
    std::string subject;
    bool is_answer = false;
    Journal::Number number = 0;  // what to close in the journal
    std::uint64_t ticket = 0;    // 0: not published on the present connection
    std::chrono::steady_clock::time_point added{};
  };

  Journal::Number write(const Message& message, Kind kind);
  void push(Message message);
  // Publishes what is not published on this connection, in order, until the window is full or one cannot be.
  void publish_pending();
  void make_room();
  void remove(const std::deque<Message>::const_iterator& message);

  Publisher& publisher_;
  Log& log_;
  OutboxLimits limits_;
  Journal* journal_;
  mutable std::mutex mutex_;
  std::condition_variable_any emptied_;
  std::deque<Message> messages_;
  std::unordered_map<std::string, std::size_t> answers_;  // held, by task
  std::size_t bytes_ = 0;
  std::size_t published_ = 0;  // on the present connection: so many at the front
  bool online_ = false;
};

}  // namespace proplet::propeller
