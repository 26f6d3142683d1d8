#include "worker/node.h"

#include <utility>

#include "propeller/topics.h"

namespace proplet::worker {

Node::Node(std::string base_topic) : base_topic_(std::move(base_topic)) {}

std::vector<std::string> Node::subscriptions() const {
  return {topic(propeller::kStartTopic), topic(propeller::kStopTopic), topic(propeller::kInvokeTopic)};
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
}

void Node::acknowledged(std::uint64_t ticket) { outbox_->acknowledged(ticket); }

void Node::result(const propeller::ResultMessage& message) {
  outbox_->add(topic(propeller::kResultsTopic), propeller::encode(message), message.task_id);
}

void Node::invoke_result(const propeller::InvokeResultMessage& message) {
  outbox_->add(topic(propeller::kInvokeResultsTopic), propeller::encode(message), message.task_id);
}

std::string Node::topic(std::string_view name) const { return base_topic_ + "/" + std::string(name); }

}  // namespace proplet::worker
