#include "worker/node.h"

#include <utility>

#include "propeller/chunk_message.h"
#include "propeller/topics.h"

namespace proplet::worker {
namespace {

using propeller::JournalEntry;
using propeller::Outbox;

// What the Manager of a task is told that this worker's predecessor promised to answer.
Error end_of_predecessor(const JournalEntry& promise) {
  if (promise.withheld) {
    return {Code::result_lost, "task " + promise.subject +
                                   " ended, but the worker did before its result was delivered; results of encrypted "
                                   "tasks are kept in memory only"};
  }
  return {Code::worker_restarted, "the worker ended while it had task " + promise.subject};
}

}  // namespace

Node::Node(std::string base_topic) : base_topic_(std::move(base_topic)) {}

std::vector<std::string> Node::subscriptions() const {
  std::vector topics{topic(propeller::kStartTopic), topic(propeller::kStopTopic), topic(propeller::kInvokeTopic)};
  if (chunks_ != nullptr) topics.push_back(topic(propeller::kChunkTopic));
  return topics;
}

void Node::attach(Worker& worker, propeller::Outbox& outbox, Heartbeat& heartbeat) {
  worker_ = &worker;
  outbox_ = &outbox;
  heartbeat_ = &heartbeat;
}

void Node::connected() {
  heartbeat_->connected();
  outbox_->connected();
  if (observer_ != nullptr) observer_->connected();
  if (chunks_ != nullptr) chunks_->connected();
}

void Node::disconnected() {
  outbox_->disconnected();
  heartbeat_->disconnected();
  if (observer_ != nullptr) observer_->disconnected();
}

void Node::message(std::string_view topic, ByteView payload) {
  if (!topic.starts_with(base_topic_) || topic.size() <= base_topic_.size()) return;
  topic.remove_prefix(base_topic_.size() + 1);
  if (topic == propeller::kStartTopic) return worker_->start(payload);
  if (topic == propeller::kStopTopic) return worker_->stop(payload);
  if (topic == propeller::kInvokeTopic) return worker_->invoke(payload);
  if (topic == propeller::kChunkTopic && chunks_ != nullptr) chunks_->chunk(payload);
}

void Node::acknowledged(std::uint64_t ticket) { outbox_->acknowledged(ticket); }

void Node::take_over(propeller::Journal& journal, const std::string& proplet_id, Log& log) {
  std::size_t messages = 0;
  std::size_t tasks = 0;
  for (JournalEntry& entry : journal.take_left_behind()) {
    if (entry.kind == JournalEntry::Kind::promise) {
      ++tasks;
      result({.task_id = entry.subject,
              .proplet_id = proplet_id,
              .results = {},
              .error = end_of_predecessor(entry).text(),
              .timing = {}});
    } else {
      ++messages;
      outbox_->add_left_behind(std::move(entry));
    }
  }
  if (messages + tasks > 0) {
    log.warn("the worker before this one ended early", {{"undelivered_messages", messages}, {"lost_tasks", tasks}});
  }
}

void Node::promise(const std::string& task_id) { outbox_->promise(task_id); }

bool Node::holds_answer(const std::string& task_id) { return outbox_->holds_answer(task_id); }

void Node::result(const propeller::ResultMessage& message) {
  outbox_->add(topic(propeller::kResultsTopic), propeller::encode(message), message.task_id,
               message.confidential ? Outbox::Kind::confidential_answer : Outbox::Kind::answer);
}

void Node::invoke_result(const propeller::InvokeResultMessage& message) {
  outbox_->add(topic(propeller::kInvokeResultsTopic), propeller::encode(message), message.task_id);
}

// Not through the outbox: whoever waits asks again.
Status Node::request_chunks(std::string_view app_name) {
  if (publisher_ == nullptr) return fail(Code::mqtt_failed, "not connected");
  TRY(publisher_->publish(topic(propeller::kChunkRequestTopic), propeller::encode_chunk_request(app_name)));
  return {};
}

std::string Node::topic(std::string_view name) const { return base_topic_ + "/" + std::string(name); }

}  // namespace proplet::worker
