#include "module/chunk_source.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "propeller/chunk_message.h"

namespace proplet::module {
namespace {

constexpr int kMaxRestarts = 8;

Error unlike_its_digest(const std::string& image_url, const Error& mismatch) {
  return Error(Code::digest_mismatch,
               fmt::format("{}: a proxy delivers a layer of the image, so the digest in the reference would have to be "
                           "that layer's; one of a manifest needs a pull straight from the registry",
                           image_url))
      .caused_by(mismatch);
}

}  // namespace

// Guarded by the source's mutex until it is over; then nothing changes any more.
struct ChunkSource::Download {
  Download(std::string image_url, std::size_t max_bytes, time_point now)
      : image_url(std::move(image_url)), assembly(max_bytes), begun(now), last_progress(now), next_request(now) {}

  const std::string image_url;
  ChunkAssembly assembly;
  std::size_t waiting = 0;
  const time_point begun;
  time_point last_progress;
  time_point next_request;
  // Before the next request. Does not shrink again: on a slow link each request adds a delivery to what is on its way.
  std::chrono::milliseconds pause{0};
  int requests = 0;
  int restarts = 0;
  std::string fault;  // of the latest chunk that could not be used
  bool over = false;
  std::optional<Error> error;  // why there is no image
};

Result<Module> ChunkSource::fetch(const std::string& image_url, const std::optional<oci::Digest>& expected,
                                  StageObserver* observer, std::stop_token stop) {
  const StageTimer pulling(Stage::pull, observer);
  const DownloadPointer download = join(image_url);
  const Status ended = wait(*download, stop);
  SecretBytes bytes = ended ? download->assembly.join() : SecretBytes();
  leave(*download);
  if (!ended) return fail(Error(ended.error()).at(Stage::pull));

  auto digest = oci::Digest::of(bytes.view());
  if (expected && digest != *expected) {
    const Status same = verify_digest(bytes.view(), *expected);
    if (!same) return fail(unlike_its_digest(image_url, same.error()).at(Stage::pull));
  }
  return Module{.bytes = std::move(bytes),
                .digest = digest.text(),
                .source = image_url + " (in chunks, " + digest.text() + ")",
                .confidential = false};
}

ChunkSource::DownloadPointer ChunkSource::join(const std::string& image_url) {
  const std::lock_guard lock(mutex_);
  auto& download = downloads_[image_url];
  if (!download) {
    download = std::make_shared<Download>(image_url, options_.max_module_bytes, std::chrono::steady_clock::now());
    download->pause = options_.first_pause;
  }
  ++download->waiting;
  return download;
}

// Whoever of those who wait wakes first when it is time asks for all.
Status ChunkSource::wait(Download& download, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!download.over) {
    if (stop.stop_requested()) return fail(Code::cancelled, "waiting for {} was stopped", download.image_url);
    const time_point now = std::chrono::steady_clock::now();
    const time_point end_of_patience =
        std::min(download.last_progress + options_.patience, download.begun + options_.longest);
    if (now >= end_of_patience) {
      end(download, patience_lost(download));
    } else if (now >= download.next_request) {
      ask(download, lock);
    } else {
      // Woken early when the next request has been moved forward, to look at the clock anew.
      const time_point until = std::min(download.next_request, end_of_patience);
      changed_.wait_until(lock, stop, until, [&] { return download.over || download.next_request < until; });
    }
  }
  if (download.error) return fail(*download.error);
  return {};
}

void ChunkSource::ask(Download& download, std::unique_lock<std::mutex>& lock) {
  if (++download.requests > 1) download.pause = std::min(download.pause * 2, options_.longest_pause);
  download.next_request = std::chrono::steady_clock::now() + download.pause;
  const int requests = download.requests;
  lock.unlock();
  const Status asked = requester_.request_chunks(download.image_url);
  log_.info("image requested from the proxy",
            {{"image", download.image_url}, {"times", requests}, {"sent", asked.has_value()}});
  lock.lock();
}

void ChunkSource::leave(Download& download) {
  const std::lock_guard lock(mutex_);
  if (--download.waiting > 0) return;
  held_bytes_ -= download.assembly.held_bytes();
  download.assembly.clear();
  if (!download.over) downloads_.erase(downloads_.find(download.image_url));
}

void ChunkSource::chunk(ByteView payload) {
  const auto glance = propeller::peek_app_name(payload);
  if (downloads() == 0 || (glance && !waits_for(*glance))) return;
  auto message = propeller::parse_chunk(payload, options_.max_message_bytes);
  if (message && !waits_for(message->app_name)) return;
  // Decoded without the lock: those who wait for other images need not wait for this.
  auto data = message ? base64_decode(message->data_base64) : Result<Bytes>(fail(Error(message.error())));

  const std::lock_guard lock(mutex_);
  const auto found = downloads_.find(message ? std::string_view(message->app_name) : glance.value_or(""));
  if (found == downloads_.end()) return;
  const DownloadPointer download = found->second;
  if (!data) {
    download->fault = data.error().text();
  } else {
    take(*download, message->index, message->total, *std::move(data));
  }
}

// The mutex is held.
void ChunkSource::take(Download& download, std::uint32_t index, std::uint32_t total, Bytes data) {
  held_bytes_ -= download.assembly.held_bytes();
  const auto outcome = download.assembly.add(index, total, std::move(data));
  held_bytes_ += download.assembly.held_bytes();
  if (!outcome) return end(download, Error(outcome.error()).because(download.image_url));
  if (held_bytes_ > options_.max_total_bytes) {
    return end(download, Error(Code::size_limit, fmt::format("{}: the images that are being received hold more than {} "
                                                             "bytes",
                                                             download.image_url, options_.max_total_bytes)));
  }

  const time_point now = std::chrono::steady_clock::now();
  if (*outcome != ChunkAssembly::Outcome::known) download.last_progress = now;
  if (*outcome == ChunkAssembly::Outcome::restarted) {
    log_.warn("chunks contradict each other: begun anew", {{"image", download.image_url}, {"index", index}});
    if (++download.restarts > kMaxRestarts) {
      return end(download, Error(Code::proxy_failed, fmt::format("{}: the chunks contradict each other again and again",
                                                                 download.image_url)));
    }
  }
  if (download.assembly.complete()) return end(download, std::nullopt);
  schedule_request(download, index + 1 == total || download.assembly.full(), now);
}

// The mutex is held.
void ChunkSource::schedule_request(Download& download, bool delivery_has_ended, time_point now) {
  const auto pause = delivery_has_ended
                         ? std::min(options_.pause_after_the_last * std::max(download.requests, 1), download.pause)
                         : download.pause;
  const bool sooner = now + pause < download.next_request;
  download.next_request = now + pause;
  if (sooner) changed_.notify_all();
}

void ChunkSource::connected() {
  const std::lock_guard lock(mutex_);
  for (const auto& [image_url, download] : downloads_) {
    held_bytes_ -= download->assembly.held_bytes();
    download->assembly.clear();
    download->next_request = std::chrono::steady_clock::now();
  }
  changed_.notify_all();
}

// The mutex is held. The table's reference may be the last but that of the caller.
void ChunkSource::end(Download& download, std::optional<Error> error) {
  download.over = true;
  download.error = std::move(error);
  downloads_.erase(downloads_.find(download.image_url));
  changed_.notify_all();
}

Error ChunkSource::patience_lost(const Download& download) const {
  const ChunkAssembly& assembly = download.assembly;
  std::string text = fmt::format("Timeout waiting for binary chunks of {}: ", download.image_url);
  if (assembly.received() == 0) {
    text += fmt::format("none came after {} requests", download.requests);
  } else if (assembly.full()) {
    text += fmt::format("all {} came, but nothing shows that they are of one version", assembly.total());
  } else {
    text += fmt::format("{} of {} came", assembly.received(), assembly.total());
  }
  if (!download.fault.empty()) text += ", and the latest that could not be used: " + download.fault;
  return {Code::proxy_failed, std::move(text)};
}

bool ChunkSource::waits_for(std::string_view image_url) const {
  const std::lock_guard lock(mutex_);
  return downloads_.contains(image_url);
}

std::size_t ChunkSource::downloads() const {
  const std::lock_guard lock(mutex_);
  return downloads_.size();
}

std::size_t ChunkSource::waiting() const {
  const std::lock_guard lock(mutex_);
  std::size_t waiting = 0;
  for (const auto& [image_url, download] : downloads_) waiting += download->waiting;
  return waiting;
}

std::size_t ChunkSource::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return held_bytes_;
}

}  // namespace proplet::module
