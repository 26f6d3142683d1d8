#include "oci/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/fd.h"
#include "oci/json_errors.h"

namespace proplet::oci {
namespace {

constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
constexpr std::string_view kLayoutFile = "/oci-layout";
constexpr std::string_view kIndexFile = "/index.json";
constexpr std::string_view kLayoutText = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::size_t kReadStep = std::size_t{1} << 20;  // between two looks at the stop token
constexpr unsigned kFileMode = 0644;

std::string reason(int error) { return std::generic_category().message(error); }

std::string blob_path(const std::string& layout, const Digest& digest) {
  return layout + "/blobs/" + std::string(digest.algorithm_name()) + "/" + std::string(digest.hex());
}

Status make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail(Code::io_failed, "cannot create {}: {}", path, error.message());
  return {};
}

// Opens a blob if it is a file of exactly the size its descriptor says. O_NONBLOCK: a pipe there must not hold us up.
Result<UniqueFd> open_blob(const std::string& path, const Descriptor& descriptor) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid() && errno == ENOENT) return fail(Code::image_not_found, "the layout has no blob {}", path);
  if (!file.valid()) return fail(Code::io_failed, "cannot open {}: {}", path, reason(errno));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail(Code::io_failed, "cannot examine {}: {}", path, reason(errno));
  if (!S_ISREG(status.st_mode)) return fail(Code::io_failed, "{} is not a regular file", path);
  if (std::cmp_not_equal(status.st_size, descriptor.size)) {
    return fail(Code::size_mismatch, "{} has {} bytes; its descriptor says {}", path, status.st_size, descriptor.size);
  }
  return file;
}

// Fills `out` from the file and verifies what it read, in one pass.
Status read_verified(int file, const std::string& path, const Digest& digest, MutableByteView out,
                     const std::stop_token& stop) {
  DigestVerifier verifier(digest);
  while (!out.empty()) {
    if (stop.stop_requested()) return fail(Code::cancelled, "reading {} was stopped", path);
    const ssize_t count = ::read(file, out.data(), std::min(out.size(), kReadStep));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::io_failed, "cannot read {}: {}", path, reason(errno));
    if (count == 0) return fail(Code::size_mismatch, "{} became shorter while it was read", path);
    verifier.update(out.first(static_cast<std::size_t>(count)));
    out = out.subspan(static_cast<std::size_t>(count));
  }
  auto verified = verifier.finish();
  if (!verified) return fail(std::move(verified).error().because(path));
  return {};
}

std::string ref_name(const Descriptor& entry) {
  const auto annotation = entry.annotations.find(std::string(kRefName));
  return annotation == entry.annotations.end() ? std::string() : annotation->second;
}

Result<Index> read_index(const std::string& path) {
  TRY_ASSIGN(const auto text, read_text_file(path + std::string(kIndexFile), kMaxManifestBytes));
  auto index = parse_index(text, "");
  if (!index) return fail(std::move(index).error().because(path + std::string(kIndexFile)));
  return index;
}

std::string known_names(const Index& index) {
  constexpr std::size_t kMaxNamed = 16;
  std::string list;
  for (std::size_t i = 0; i < std::min(index.manifests.size(), kMaxNamed); ++i) {
    if (!list.empty()) list += ", ";
    list += ref_name(index.manifests[i]).substr(0, 128);
  }
  return list;
}

Result<Descriptor> find_entry(const Index& index, const std::string& path, const std::string& name) {
  std::vector<Descriptor> matches;
  std::copy_if(index.manifests.begin(), index.manifests.end(), std::back_inserter(matches),
               [&](const Descriptor& entry) { return name.empty() || ref_name(entry) == name; });
  if (matches.empty()) {
    return fail(Code::image_not_found, "layout {} has no image '{}'; it has: {}", path, name, known_names(index));
  }
  if (matches.size() > 1) {
    return fail(Code::manifest_invalid, "layout {} has several images; name one of: {}", path, known_names(index));
  }
  return std::move(matches.front());
}

Status check_layout_file(const std::string& path) {
  TRY_ASSIGN(const auto text, read_text_file(path + std::string(kLayoutFile), 4096));
  TRY_ASSIGN(const auto object, recode(json::parse_object(text), Code::manifest_invalid));
  TRY_ASSIGN(const auto version, recode(json::required_string(object, "imageLayoutVersion"), Code::manifest_invalid));
  if (version != "1.0.0") return fail(Code::manifest_invalid, "layout {} has an unknown version", path);
  return {};
}

}  // namespace

class LayoutSource final : public ImageSource {
 public:
  LayoutSource(const Layout& layout, std::string name) : layout_(layout), name_(std::move(name)) {}

  [[nodiscard]] std::string name() const override {
    return name_.empty() ? layout_.path_ : layout_.path_ + ":" + name_;
  }

  Result<RawManifest> resolve(std::stop_token stop) override {
    TRY_ASSIGN(const auto index, read_index(layout_.path_));
    TRY_ASSIGN(const auto entry, find_entry(index, layout_.path_, name_));
    return fetch_manifest(entry, std::move(stop));
  }

  Result<RawManifest> fetch_manifest(const Descriptor& descriptor, std::stop_token stop) override {
    if (descriptor.size > kMaxManifestBytes) {
      return fail(Code::size_limit, "manifest {} has {} bytes; the limit is {}", descriptor.digest.text(),
                  descriptor.size, kMaxManifestBytes);
    }
    const auto path = blob_path(layout_.path_, descriptor.digest);
    TRY_ASSIGN(const auto file, open_blob(path, descriptor));
    std::string bytes(descriptor.size, '\0');
    const MutableByteView view(reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size());
    TRY(read_verified(file.get(), path, descriptor.digest, view, stop));
    return RawManifest{descriptor.digest, descriptor.media_type, std::move(bytes)};
  }

  Result<SecretBytes> fetch_blob(const Descriptor& descriptor, std::size_t limit, std::stop_token stop) override {
    if (descriptor.size > limit) {
      return fail(Code::size_limit, "blob {} has {} bytes; the limit is {}", descriptor.digest.text(), descriptor.size,
                  limit);
    }
    const auto path = blob_path(layout_.path_, descriptor.digest);
    TRY_ASSIGN(const auto file, open_blob(path, descriptor));
    SecretBytes bytes(descriptor.size);
    TRY(read_verified(file.get(), path, descriptor.digest, bytes.mutable_view(), stop));
    return bytes;
  }

 private:
  const Layout& layout_;
  const std::string name_;
};

class LayoutTarget final : public ImageTarget {
 public:
  LayoutTarget(Layout& layout, std::string name) : layout_(layout), name_(std::move(name)) {}

  [[nodiscard]] std::string name() const override {
    return name_.empty() ? layout_.path_ : layout_.path_ + ":" + name_;
  }

  Result<Descriptor> push_blob(std::string media_type, ByteView bytes, std::stop_token stop) override {
    auto descriptor = describe(std::move(media_type), bytes);
    // A damaged blob of an interrupted or foreign writer is replaced.
    if (LayoutSource(layout_, name_).fetch_blob(descriptor, bytes.size(), stop)) return descriptor;
    if (stop.stop_requested()) return fail(Code::cancelled, "writing to {} was stopped", layout_.path_);
    TRY(make_folder(layout_.path_ + "/blobs/" + std::string(descriptor.digest.algorithm_name())));
    TRY(write_file_atomically(blob_path(layout_.path_, descriptor.digest), bytes, kFileMode));
    return descriptor;
  }

  Result<Descriptor> push_manifest(std::string media_type, std::string_view bytes, std::stop_token stop) override {
    TRY_ASSIGN(const auto document, parse_document(bytes, media_type));
    TRY(check_complete(document));
    return push_blob(std::move(media_type), bytes_of(bytes), std::move(stop));
  }

  Result<Descriptor> push_tagged(std::string media_type, std::string_view bytes, std::stop_token stop) override {
    TRY_ASSIGN(auto descriptor, push_manifest(std::move(media_type), bytes, std::move(stop)));
    const std::lock_guard lock(layout_.index_mutex_);
    TRY_ASSIGN(auto index, read_index(layout_.path_));
    std::erase_if(index.manifests, [&](const Descriptor& entry) { return ref_name(entry) == name_; });
    index.manifests.push_back(descriptor);
    if (!name_.empty()) index.manifests.back().annotations.emplace(kRefName, name_);
    TRY(write_file_atomically(layout_.path_ + std::string(kIndexFile), bytes_of(serialize(index)), kFileMode));
    return descriptor;
  }

 private:
  [[nodiscard]] Status check_complete(const Document& document) const {
    std::vector<Descriptor> parts;
    if (const auto* const manifest = std::get_if<Manifest>(&document)) {
      parts = manifest->layers;
      parts.push_back(manifest->config);
    } else {
      parts = std::get<Index>(document).manifests;
    }
    for (const auto& part : parts) {
      auto file = open_blob(blob_path(layout_.path_, part.digest), part);
      if (!file) return fail(std::move(file).error().because("the manifest names a blob that was not written"));
    }
    return {};
  }

  Layout& layout_;
  const std::string name_;
};

Result<std::unique_ptr<Layout>> Layout::open(std::string path) {
  TRY(check_layout_file(path));
  return std::unique_ptr<Layout>(new Layout(std::move(path)));
}

Result<std::unique_ptr<Layout>> Layout::create(std::string path) {
  std::error_code error;
  if (std::filesystem::exists(path + std::string(kLayoutFile), error)) return open(std::move(path));
  TRY(make_folder(path + "/blobs/sha256"));
  const Index empty{std::string(kOciIndexType), {}, {}};
  TRY(write_file_atomically(path + std::string(kIndexFile), bytes_of(serialize(empty)), kFileMode));
  TRY(write_file_atomically(path + std::string(kLayoutFile), bytes_of(kLayoutText), kFileMode));
  return std::unique_ptr<Layout>(new Layout(std::move(path)));
}

std::unique_ptr<ImageSource> Layout::source(std::string name) {
  return std::make_unique<LayoutSource>(*this, std::move(name));
}

std::unique_ptr<ImageTarget> Layout::target(std::string name) {
  return std::make_unique<LayoutTarget>(*this, std::move(name));
}

}  // namespace proplet::oci
