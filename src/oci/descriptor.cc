#include "oci/descriptor.h"

#include <algorithm>

#include "oci/json_errors.h"

namespace proplet::oci {
namespace {

constexpr std::size_t kMaxMediaTypeBytes = 255;
constexpr std::size_t kMaxAnnotations = 1024;
constexpr std::size_t kMaxAnnotationBytes = std::size_t{1} << 20;

// RFC 6838 section 4.2: names without parameters.
bool is_media_type(std::string_view text) {
  if (text.empty() || text.size() > kMaxMediaTypeBytes) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return alnum || std::string_view("!#$&-^_.+/").find(c) != std::string_view::npos;
  });
}

Result<std::optional<Platform>> read_platform(const json::object& parent, std::string_view path) {
  TRY_ASSIGN(const auto* const object, json::optional_object(parent, "platform", path));
  if (object == nullptr) return std::optional<Platform>();
  const auto inner = std::string(path) + "platform.";
  TRY_ASSIGN(auto os, json::optional_string(*object, "os", inner));
  TRY_ASSIGN(auto architecture, json::optional_string(*object, "architecture", inner));
  TRY_ASSIGN(auto variant, json::optional_string(*object, "variant", inner));
  return std::optional<Platform>(
      Platform{os.value_or(std::string()), architecture.value_or(std::string()), variant.value_or(std::string())});
}

Result<Annotations> read_annotations(const json::object& parent, std::string_view path) {
  TRY_ASSIGN(const auto* const object, json::optional_object(parent, "annotations", path));
  Annotations annotations;
  if (object == nullptr) return annotations;
  if (object->size() > kMaxAnnotations) {
    return fail(Code::format_invalid, "member '{}annotations' has more than {} entries", path, kMaxAnnotations);
  }
  for (const auto& [name, value] : *object) {
    if (!value.is_string()) return fail(Code::format_invalid, "an annotation in '{}annotations' is not a string", path);
    const std::string_view text = value.get_string();
    if (text.size() > kMaxAnnotationBytes) {
      return fail(Code::format_invalid, "an annotation in '{}annotations' is larger than {} bytes", path,
                  kMaxAnnotationBytes);
    }
    annotations.emplace(std::string_view(name), text);
  }
  return annotations;
}

Result<Descriptor> read_descriptor(const json::object& object, std::string_view path) {
  TRY_ASSIGN(auto media_type, json::required_string(object, "mediaType", path));
  if (!is_media_type(media_type)) return fail(Code::format_invalid, "member '{}mediaType' is not a media type", path);
  TRY_ASSIGN(const auto digest_text, json::required_string(object, "digest", path));
  auto digest = Digest::parse(digest_text);
  if (!digest) return fail(Code::format_invalid, "member '{}digest': {}", path, digest.error().message());
  TRY_ASSIGN(const auto size, json::required_integer(object, "size", path));
  if (size < 0) return fail(Code::format_invalid, "member '{}size' is negative", path);
  TRY_ASSIGN(const auto* const urls, json::optional_array(object, "urls", path));
  if (urls != nullptr && !urls->empty()) {
    return fail(Code::format_invalid, "member '{}urls' is refused: blobs come from the registry only", path);
  }
  TRY_ASSIGN(auto annotations, read_annotations(object, path));
  TRY_ASSIGN(auto platform, read_platform(object, path));
  TRY_ASSIGN(auto artifact_type, json::optional_string(object, "artifactType", path));
  return Descriptor{std::move(media_type),  std::move(*digest),  static_cast<std::uint64_t>(size),
                    std::move(annotations), std::move(platform), artifact_type.value_or(std::string())};
}

json::object to_json(const Platform& platform) {
  json::object object{{"architecture", platform.architecture}, {"os", platform.os}};
  if (!platform.variant.empty()) object["variant"] = platform.variant;
  return object;
}

}  // namespace

Descriptor describe(std::string media_type, ByteView bytes) {
  return {.media_type = std::move(media_type), .digest = Digest::of(bytes), .size = bytes.size()};
}

Result<Descriptor> parse_descriptor(const json::object& object, std::string_view path) {
  return recode(read_descriptor(object, path), Code::manifest_invalid);
}

Result<Annotations> parse_annotations(const json::object& parent, std::string_view path) {
  return recode(read_annotations(parent, path), Code::manifest_invalid);
}

json::object to_json(const Annotations& annotations) {
  json::object object;
  for (const auto& [name, value] : annotations) object[name] = value;
  return object;
}

json::object to_json(const Descriptor& descriptor) {
  json::object object{
      {"mediaType", descriptor.media_type}, {"digest", descriptor.digest.text()}, {"size", descriptor.size}};
  if (!descriptor.annotations.empty()) object["annotations"] = to_json(descriptor.annotations);
  if (descriptor.platform) object["platform"] = to_json(*descriptor.platform);
  if (!descriptor.artifact_type.empty()) object["artifactType"] = descriptor.artifact_type;
  return object;
}

}  // namespace proplet::oci
