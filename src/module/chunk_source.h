// ChunkSource gets images from a proxy that sends them in chunks over the channel every worker hears.
//
// A download exists while somebody waits for its image: the first who waits has it asked for, others join, and the last
// to leave takes all memory with him. Chunks that nobody waits for are dropped unread. All who wait go on the moment
// the last chunk arrives (when it counts as the last: chunk_assembly.h). An image is asked for again when its chunks
// stay away, soon when a delivery has ended with something missing, at once after a new connection; the download fails
// when nothing new has come for `patience`, when versions contradict each other again and again, and when the chunks
// hold more than a module may. The chunks of all downloads together are bounded as well.
//
// Thread-safe. `fetch` blocks and ends within 100 ms of a stop request; the rest is for the session's thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/log.h"
#include "module/chunk_assembly.h"
#include "module/module.h"
#include "oci/digest.h"

namespace proplet::module {

// Asks a proxy for an image. Must not block. Fails when there is no connection.
class ChunkRequester {
 public:
  virtual ~ChunkRequester() = default;
  virtual Status request_chunks(std::string_view app_name) = 0;
};

struct ChunkSourceOptions {
  std::size_t max_module_bytes = std::size_t{100} << 20;
  std::size_t max_total_bytes = std::size_t{400} << 20;
  std::size_t max_message_bytes = std::size_t{10} << 20;
  // Without a chunk, an image is asked for again after this; the pause doubles up to `longest_pause`.
  std::chrono::milliseconds first_pause{5000};
  std::chrono::milliseconds longest_pause{20000};
  // The same when a delivery seems to have ended with something missing; grows with each request.
  std::chrono::milliseconds pause_after_the_last{500};
  std::chrono::milliseconds patience{60000};
  // However much comes, nobody waits longer than this.
  std::chrono::milliseconds longest{std::chrono::minutes(30)};
};

class ChunkSource {
 public:
  ChunkSource(ChunkRequester& requester, Log& log, ChunkSourceOptions options)
      : requester_(requester), log_(log), options_(options) {}

  // `image_url` is sent as it is. PROXY_FAILED, SIZE_LIMIT, CANCELLED; DIGEST_MISMATCH when the image has not the
  // digest that is `expected`.
  Result<Module> fetch(const std::string& image_url, const std::optional<oci::Digest>& expected,
                       StageObserver* observer, std::stop_token stop);

  // A message of the proxy's.
  void chunk(ByteView payload);
  // There is a new connection; what was on its way through the old one is lost.
  void connected();

  [[nodiscard]] std::size_t downloads() const;
  [[nodiscard]] std::size_t waiting() const;  // for all downloads
  [[nodiscard]] std::size_t held_bytes() const;

 private:
  using time_point = std::chrono::steady_clock::time_point;
  struct Download;
  using DownloadPointer = std::shared_ptr<Download>;  // shared by the table and those who wait

  DownloadPointer join(const std::string& image_url);
  Status wait(Download& download, const std::stop_token& stop);
  void ask(Download& download, std::unique_lock<std::mutex>& lock);
  void leave(Download& download);
  [[nodiscard]] bool waits_for(std::string_view image_url) const;
  void take(Download& download, std::uint32_t index, std::uint32_t total, Bytes data);
  void schedule_request(Download& download, bool delivery_has_ended, time_point now);
  void end(Download& download, std::optional<Error> error);
  [[nodiscard]] Error patience_lost(const Download& download) const;

  ChunkRequester& requester_;
  Log& log_;
  const ChunkSourceOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, DownloadPointer, std::less<>> downloads_;  // those that are not over
  std::size_t held_bytes_ = 0;                                     // of all that somebody still waits for
};

}  // namespace proplet::module
