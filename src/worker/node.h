// Node connects the broker to the worker: it is the session's handler, the worker's sink, and asks proxies for images.
//
// On the session's thread it only routes: commands to the worker, chunks to their source, acknowledgements to the
// outbox, connections to outbox, heartbeat and chunk source. `main` makes a Node, then the session with the node as its
// handler, then calls `attach` with everything the node routes to, and only then starts the session.
#pragma once

#include <string>
#include <vector>

#include "module/chunk_source.h"
#include "propeller/outbox.h"
#include "propeller/session.h"
#include "telemetry/task_observer.h"
#include "worker/heartbeat.h"
#include "worker/worker.h"

namespace proplet::worker {

class Node final : public propeller::SessionHandler, public ResultSink, public module::ChunkRequester {
 public:
  explicit Node(std::string base_topic);

  // Images may come in chunks. Call before `subscriptions`, if at all.
  void deliver_chunks_to(module::ChunkSource& chunks) { chunks_ = &chunks; }
  // What the session must subscribe to.
  [[nodiscard]] std::vector<std::string> subscriptions() const;
  // All must outlive the session's thread.
  void attach(Worker& worker, propeller::Outbox& outbox, Heartbeat& heartbeat);
  // Told of connections too; before the session starts.
  void observe_connections(telemetry::ConnectionObserver& observer) { observer_ = &observer; }
  // Through which images are asked for.
  void attach_publisher(propeller::Publisher& publisher) { publisher_ = &publisher; }

  void connected() override;
  void disconnected() override;
  void message(std::string_view topic, ByteView payload) override;
  void acknowledged(std::uint64_t ticket) override;

  // Delivers what an earlier worker of this id left in the journal, and answers for the tasks it did not finish. After
  // `attach`, before the session starts.
  void take_over(propeller::Journal& journal, const std::string& proplet_id, Log& log);

  void promise(const std::string& task_id) override;
  bool holds_answer(const std::string& task_id) override;
  void result(const propeller::ResultMessage& message) override;
  void invoke_result(const propeller::InvokeResultMessage& message) override;

  Status request_chunks(std::string_view app_name) override;

 private:
  [[nodiscard]] std::string topic(std::string_view name) const;

  std::string base_topic_;
  Worker* worker_ = nullptr;
  propeller::Outbox* outbox_ = nullptr;
  Heartbeat* heartbeat_ = nullptr;
  telemetry::ConnectionObserver* observer_ = nullptr;
  module::ChunkSource* chunks_ = nullptr;
  propeller::Publisher* publisher_ = nullptr;
};

}  // namespace proplet::worker
