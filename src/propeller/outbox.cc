#include "propeller/outbox.h"

#include <algorithm>
#include <utility>

namespace proplet::propeller {

Outbox::Outbox(Publisher& publisher, Log& log, OutboxLimits limits, Journal* journal)
    : publisher_(publisher), log_(log), limits_(limits), journal_(journal) {}

void Outbox::add(std::string topic, std::string payload, std::string subject, Kind kind) {
  Message message{.topic = std::move(topic), .payload = std::move(payload), .subject = std::move(subject)};
  message.is_answer = kind == Kind::answer || kind == Kind::confidential_answer;
  const std::lock_guard lock(mutex_);
  // Before it is published: from then on there must be no other answer.
  message.number = write(message, kind);
  push(std::move(message));
}

void Outbox::promise(const std::string& task_id) {
  const std::lock_guard lock(mutex_);
  if (journal_ != nullptr) journal_->promise(task_id);
}

void Outbox::add_left_behind(JournalEntry entry) {
  const std::lock_guard lock(mutex_);
  push({.topic = std::move(entry.topic),
        .payload = std::move(entry.payload),
        .subject = std::move(entry.subject),
        .is_answer = entry.kind == JournalEntry::Kind::answer,
        .number = entry.number});
}

bool Outbox::holds_answer(const std::string& task_id) const {
  const std::lock_guard lock(mutex_);
  return answers_.contains(task_id);
}

void Outbox::connected() {
  const std::lock_guard lock(mutex_);
  online_ = true;
  for (Message& message : messages_) message.ticket = 0;
  published_ = 0;
  publish_pending();
}

void Outbox::disconnected() {
  const std::lock_guard lock(mutex_);
  online_ = false;
}

void Outbox::acknowledged(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  const auto message = std::ranges::find(messages_, ticket, &Message::ticket);
  if (message == messages_.end()) return;
  const auto taken = std::chrono::steady_clock::now() - message->added;
  log_.debug("message acknowledged",
             {{"subject", message->subject}, {"ms", std::chrono::duration<double, std::milli>(taken).count()}});
  remove(message);
  if (online_) publish_pending();
}

bool Outbox::flush(std::chrono::milliseconds timeout, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  return emptied_.wait_for(lock, stop, timeout, [this] { return messages_.empty(); });
}

std::size_t Outbox::pending() const {
  const std::lock_guard lock(mutex_);
  return messages_.size();
}

Journal::Number Outbox::write(const Message& message, Kind kind) {
  if (journal_ == nullptr) return 0;
  switch (kind) {
    case Kind::message:
      return journal_->add_message(message.topic, message.subject, message.payload);
    case Kind::confidential_message:
      return 0;
    case Kind::answer:
      return journal_->add_answer(message.topic, message.subject, message.payload);
    case Kind::confidential_answer:
      return journal_->withhold_answer(message.subject);
  }
  return 0;
}

void Outbox::push(Message message) {
  message.added = std::chrono::steady_clock::now();
  bytes_ += message.payload.size();
  if (message.is_answer) ++answers_[message.subject];
  messages_.push_back(std::move(message));
  make_room();
  if (online_) publish_pending();
}

void Outbox::publish_pending() {
  while (published_ < messages_.size() && published_ < limits_.window) {
    const auto message = messages_.begin() + static_cast<std::ptrdiff_t>(published_);
    const auto ticket = publisher_.publish(message->topic, message->payload);
    if (ticket) {
      message->ticket = *ticket;
      ++published_;
    } else if (ticket.error().code() == Code::size_limit) {
      log_.error("message given up", {{"subject", message->subject}, {"error", ticket.error().text()}});
      remove(message);
    } else {
      // It and all behind it are published after the next connection.
      log_.debug("message kept", {{"subject", message->subject}, {"error", ticket.error().text()}});
      return;
    }
  }
}

void Outbox::make_room() {
  while (messages_.size() > 1 && (messages_.size() > limits_.messages || bytes_ > limits_.bytes)) {
    log_.error("message given up: outbox full", {{"subject", messages_.front().subject}});
    remove(messages_.begin());
  }
}

void Outbox::remove(const std::deque<Message>::const_iterator& message) {
  bytes_ -= message->payload.size();
  if (message->ticket != 0) --published_;
  if (journal_ != nullptr) journal_->close(message->number);
  if (message->is_answer && --answers_[message->subject] == 0) answers_.erase(message->subject);
  messages_.erase(message);
  if (messages_.empty()) emptied_.notify_all();
}

}  // namespace proplet::propeller
