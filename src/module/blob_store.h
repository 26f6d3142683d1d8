// BlobStore keeps blobs of images on disk under their digests, so that a second task does not pull them again.
//
// It holds what a registry would give to anybody who may pull: configs, manifests, layers as stored, which for
// encrypted images means ciphertext. Plaintext of encrypted images never comes near it. It is a cache: whatever is
// wrong with the disk is a miss, and what it returns has been read and verified in this very call. Blobs are files
// named <algorithm>-<hex> in one folder; each appears in one step, and the least recently used go when there are more
// than `max_bytes`. Thread-safe, and several processes may share a folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "oci/descriptor.h"
#include "oci/image.h"

namespace proplet::module {

class BlobStore {
 public:
  // Makes the folder with mode 0700 unless it exists. CONFIG_INVALID for a folder that belongs to another user, that
  // others may write to, or that is a symbolic link; IO_FAILED when there can be none.
  static Result<std::unique_ptr<BlobStore>> open(const std::string& folder, std::uint64_t max_bytes);

  // The blob, if it is there, undamaged and of the size the descriptor says. A damaged one is removed. Ends within
  // 100 ms of a stop request, as a miss.
  std::optional<SecretBytes> get(const oci::Descriptor& descriptor, const std::stop_token& stop);

  // Stores bytes that hash to `digest`; the caller has verified that. Failures (disk full, read-only) matter to nobody
  // but a log: IO_FAILED, or SIZE_LIMIT when they alone are more than the store holds.
  Status put(const oci::Digest& digest, ByteView bytes);

 private:
  BlobStore(UniqueFd folder, std::uint64_t max_bytes) : folder_(std::move(folder)), max_bytes_(max_bytes) {}
  void remove_least_recently_used();

  UniqueFd folder_;  // what was checked, even if somebody renames it later
  std::uint64_t max_bytes_;
};

// An ImageSource that looks into a BlobStore first, for everything that is asked for by digest. What a name means is
// always asked of the source behind it.
class CachedImageSource final : public oci::ImageSource {
 public:
  // `store` must outlive the source.
  CachedImageSource(std::unique_ptr<oci::ImageSource> origin, BlobStore& store)
      : origin_(std::move(origin)), store_(store) {}

  [[nodiscard]] std::string name() const override { return origin_->name(); }
  Result<oci::RawManifest> resolve(std::stop_token stop) override { return origin_->resolve(std::move(stop)); }
  Result<oci::RawManifest> fetch_manifest(const oci::Descriptor& descriptor, std::stop_token stop) override;
  Result<SecretBytes> fetch_blob(const oci::Descriptor& descriptor, std::size_t limit, std::stop_token stop) override;

 private:
  std::unique_ptr<oci::ImageSource> origin_;
  BlobStore& store_;
};

}  // namespace proplet::module
