#include "module/sources.h"

#include "base/encoding.h"
#include "oci/reference.h"

namespace proplet::module {
namespace {

Result<std::optional<kbs::ResourceUri>> wanted_key(const ModuleRequest& request) {
  // A plain task has no use for a key, so a bad path does not stop it.
  if (!request.encrypted || request.kbs_resource_path.empty()) return std::optional<kbs::ResourceUri>();
  auto uri = kbs::ResourceUri::parse(request.kbs_resource_path);
  if (!uri) return fail(std::move(uri).error().because("kbs_resource_path"));
  return std::optional(*std::move(uri));
}

}  // namespace

Result<Module> Sources::fetch(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) {
  if (!request.file_base64.empty()) return decode_inline(request);
  if (request.image_url.starts_with("http://") || request.image_url.starts_with("https://")) {
    return fail(Code::unsupported, "modules are not downloaded over HTTP in this version; push {} to a registry",
                request.image_url);
  }
  return pull_image(request, observer, std::move(stop));
}

Result<Module> Sources::decode_inline(const ModuleRequest& request) const {
  if (request.encrypted) {
    return fail(Code::not_encrypted, "the module is inline, in the clear; this task demands an encrypted image");
  }
  // Before a buffer is made: the text stands for at most two bytes less than this.
  if (request.file_base64.size() / 4 * 3 > options_.max_module_bytes + 2) {
    return fail(Code::size_limit, "inline module is larger than {} bytes", options_.max_module_bytes);
  }
  auto bytes = base64_decode_secret(request.file_base64);
  if (!bytes) return fail(std::move(bytes).error().because("inline module"));
  if (bytes->size() > options_.max_module_bytes) {
    return fail(Code::size_limit, "inline module is larger than {} bytes", options_.max_module_bytes);
  }
  std::string digest = oci::Digest::of(bytes->view()).text();
  return Module{.bytes = *std::move(bytes), .digest = std::move(digest), .source = "inline", .confidential = false};
}

Result<Module> Sources::pull_image(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) const {
  if (!options_.pull_images) {
    return fail(Code::unsupported, "{}: pulling images is switched off, and this version has no other way to them",
                request.image_url);
  }
  TRY_ASSIGN(const auto reference, oci::Reference::parse(request.image_url));
  TRY_ASSIGN(const auto wanted, wanted_key(request));
  const auto source = open_image_(reference);
  const Encryption encryption = request.encrypted ? Encryption::required : Encryption::forbidden;
  return opener_.open(*source, encryption, wanted, observer, std::move(stop));
}

}  // namespace proplet::module
