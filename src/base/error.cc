#include "base/error.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

namespace proplet {
namespace {

constexpr std::array kCatalogue = {
    CodeInfo{Code::config_invalid, "CONFIG_INVALID", "A setting is missing, malformed or contradicts another.",
             "Correct the named setting; `proplet --check-config` lists every problem at once."},
    CodeInfo{Code::message_invalid, "MESSAGE_INVALID", "A message from the Manager cannot be understood.",
             "Correct the task; the message names the field that is wrong."},
    CodeInfo{Code::task_limit_reached, "TASK_LIMIT_REACHED", "The worker runs or queues as many tasks as it may.",
             "Send the task later or to another worker, or raise PROPLET_MAX_TASKS or PROPLET_MAX_QUEUE."},
    CodeInfo{Code::task_stopped, "TASK_STOPPED", "The task was stopped before it completed.",
             "Nothing is wrong with the task; start it again if it should run."},
    CodeInfo{Code::task_timeout, "TASK_TIMEOUT", "The task ran longer than its time limit.",
             "Raise PROPLET_TASK_TIMEOUT, or find out why the guest does not return."},
    CodeInfo{Code::task_failed, "TASK_FAILED", "A worker reported that the task failed.",
             "The error printed with the result says why."},
    CodeInfo{Code::worker_stopping, "WORKER_STOPPING", "The worker is shutting down and takes no more tasks.",
             "Send the task to another worker, or again when this one is back."},
    CodeInfo{Code::worker_restarted, "WORKER_RESTARTED",
             "The worker ended while it had the task, and is back without it.",
             "Start the task again if it should run; it may have done a part of its work."},
    CodeInfo{Code::result_lost, "RESULT_LOST",
             "The worker ended before it delivered the result of an encrypted task, which it keeps in memory only.",
             "Start the task again."},
    CodeInfo{Code::unsupported, "UNSUPPORTED", "The task asks for something this version does not do.",
             "See the limits in the README; the message names the feature."},
    CodeInfo{Code::policy_unsupported, "POLICY_UNSUPPORTED",
             "The task demands a security policy that this worker does not enforce.",
             "Remove the policy from the task's metadata, or run the task on a worker that enforces it."},
    CodeInfo{Code::cli_argument_refused, "CLI_ARGUMENT_REFUSED",
             "A task gives the external runtime a flag that could open the host to it.",
             "Leave the flag out of cli_args, or allow it in PROPLET_EXTERNAL_ALLOWED_ARGS."},
    CodeInfo{Code::tee_unavailable, "TEE_UNAVAILABLE",
             "An encrypted task reached a worker that has no trusted execution environment to attest.",
             "Run the worker inside a supported TEE (docs/tee.md); for tests only, ask for the sample TEE with "
             "PROPLET_TEE=sample."},
    CodeInfo{Code::evidence_failed, "EVIDENCE_FAILED", "The TEE did not produce evidence.",
             "Check the guest device or file that the message names, and its permissions."},
    CodeInfo{Code::kbs_not_configured, "KBS_NOT_CONFIGURED",
             "An encrypted task needs a key broker and none is configured, or its configuration is wrong.",
             "Set PROPLET_KBS_URI, or a url in the file that PROPLET_AA_CONFIG_PATH names."},
    CodeInfo{Code::kbs_not_allowed, "KBS_NOT_ALLOWED", "The image names a key broker that this worker must not use.",
             "Encrypt the image with a key id of the form kbs:///repository/type/tag, without a host."},
    CodeInfo{Code::kbs_unreachable, "KBS_UNREACHABLE", "The key broker did not answer.",
             "Check the address, the network and the broker's certificate."},
    CodeInfo{Code::kbs_protocol, "KBS_PROTOCOL", "The key broker answered something its protocol does not allow.",
             "Check that the address is a key broker of protocol 0.4.0."},
    CodeInfo{Code::kbs_attestation_rejected, "KBS_ATTESTATION_REJECTED", "The key broker did not accept the evidence.",
             "Look at the broker's log: it does not tell clients why."},
    CodeInfo{Code::kbs_denied, "KBS_DENIED", "The key broker's policy does not release this resource to this TEE.",
             "Change the resource policy, or run in a TEE that the policy accepts."},
    CodeInfo{Code::kbs_resource_unavailable, "KBS_RESOURCE_UNAVAILABLE",
             "The key broker has no such resource or could not read it.",
             "Upload the key under the path that the message names."},
    CodeInfo{Code::key_mismatch, "KEY_MISMATCH", "The task and the image name different keys.",
             "Make kbs_resource_path equal to the key id the image was encrypted with, or leave it out."},
    CodeInfo{Code::key_invalid, "KEY_INVALID", "A key has the wrong length, type or encoding.",
             "A key encryption key is 32 bytes, raw, base64 or hex; see docs/encrypted-images.md."},
    CodeInfo{Code::unwrap_failed, "UNWRAP_FAILED", "The layer key could not be unwrapped with the key given.",
             "The image was encrypted with another key, or its annotations were altered."},
    CodeInfo{Code::jwe_invalid, "JWE_INVALID", "A JSON Web Encryption object is malformed or not for this key.",
             "The sender used another key or an algorithm that is not accepted."},
    CodeInfo{Code::jwt_invalid, "JWT_INVALID", "A JSON Web Token is malformed, expired or has a wrong signature.",
             "Get a fresh token from the right issuer."},
    CodeInfo{Code::reference_invalid, "REFERENCE_INVALID", "An image reference does not follow the grammar.",
             "Write registry/repository:tag or registry/repository@sha256:digest."},
    CodeInfo{Code::insecure_transport, "INSECURE_TRANSPORT", "Plain HTTP was asked for and is not allowed here.",
             "Use https, or name the host in PROPLET_INSECURE_REGISTRIES or PROPLET_KBS_ALLOW_HTTP."},
    CodeInfo{Code::destination_refused, "DESTINATION_REFUSED",
             "A download leads to an address from which no module is fetched.",
             "Serve the module from an address that is not link-local: there clouds keep a machine's credentials."},
    CodeInfo{Code::registry_unreachable, "REGISTRY_UNREACHABLE", "The registry did not answer.",
             "Check the host, the network and the registry's certificate."},
    CodeInfo{Code::registry_unauthorized, "REGISTRY_UNAUTHORIZED",
             "The registry refused the credentials, or wants some.",
             "Log in (docker login, skopeo login) and point PROPLET_REGISTRY_AUTH_FILE at the file."},
    CodeInfo{Code::registry_failed, "REGISTRY_FAILED", "The registry answered with an error.",
             "The message has the registry's own words; retry later if the status is 5xx."},
    CodeInfo{Code::transfer_incomplete, "TRANSFER_INCOMPLETE",
             "A registry began to send a blob, then stalled or broke off, and did so again when asked for the rest.",
             "Check the network and the registry; the message says how far it came. What had arrived is thrown away."},
    CodeInfo{Code::image_not_found, "IMAGE_NOT_FOUND", "The registry or layout has no such image.",
             "Check repository, tag and digest."},
    CodeInfo{Code::download_failed, "DOWNLOAD_FAILED", "A server did not give the module that was asked of it.",
             "Check the address in image_url; the message has the server's status or media type."},
    CodeInfo{Code::proxy_failed, "PROXY_FAILED", "The proxy did not deliver the image in chunks.",
             "Check that a proxy runs on this channel, and its log: it does not tell workers why it cannot deliver."},
    CodeInfo{Code::manifest_invalid, "MANIFEST_INVALID", "A manifest, index or config is not well formed.",
             "Push the image again with a current tool."},
    CodeInfo{Code::media_type_unsupported, "MEDIA_TYPE_UNSUPPORTED",
             "A layer or manifest has a media type we do not run.",
             "Package the module as one of the artifact shapes in docs/encrypted-images.md."},
    CodeInfo{Code::digest_mismatch, "DIGEST_MISMATCH", "Content does not have the digest it was addressed by.",
             "The content was altered or damaged on its way; do not run it."},
    CodeInfo{Code::size_mismatch, "SIZE_MISMATCH", "Content is shorter or longer than its descriptor says.",
             "The transfer was cut off, or the registry serves wrong content."},
    CodeInfo{Code::size_limit, "SIZE_LIMIT", "Content is larger than this worker accepts.",
             "Raise PROPLET_MAX_MODULE_BYTES if the size is justified."},
    CodeInfo{Code::not_encrypted, "NOT_ENCRYPTED",
             "A task demands an encrypted image and the image is not (fully) encrypted.",
             "Encrypt it: propctl image encrypt."},
    CodeInfo{Code::partly_encrypted, "PARTLY_ENCRYPTED",
             "Some layers of an image are encrypted and others are not, so that a plain one could replace the module.",
             "Encrypt every layer."},
    CodeInfo{Code::annotation_invalid, "ANNOTATION_INVALID", "The encryption annotations of a layer are malformed.",
             "Encrypt the image again; see docs/encrypted-images.md for the format."},
    CodeInfo{Code::mac_mismatch, "MAC_MISMATCH",
             "The encrypted layer's HMAC does not match: it was altered, or the key is wrong.",
             "Pull again; if it recurs the image was tampered with."},
    CodeInfo{Code::module_invalid, "MODULE_INVALID", "The bytes are not a WebAssembly module that can be compiled.",
             "Check what was packaged; the file must start with \\0asm."},
    CodeInfo{Code::import_missing, "IMPORT_MISSING", "The module imports something the worker does not provide.",
             "Core modules may import wasi_snapshot_preview1 only."},
    CodeInfo{Code::export_not_found, "EXPORT_NOT_FOUND", "The module has no such exported function.",
             "Name one of the exports that the message lists."},
    CodeInfo{Code::argument_mismatch, "ARGUMENT_MISMATCH", "The task's inputs do not fit the function's parameters.",
             "Give one number per parameter, of the parameter's type."},
    CodeInfo{Code::guest_trap, "GUEST_TRAP", "The guest trapped: it did something WebAssembly forbids, or aborted.",
             "The message names the trap and the innermost functions."},
    CodeInfo{Code::guest_exit, "GUEST_EXIT", "The guest exited with a code other than 0.",
             "The message has the code and the end of the guest's stderr."},
    CodeInfo{Code::memory_limit, "MEMORY_LIMIT", "The guest asked for more memory than it may have.",
             "Raise PROPLET_TASK_MEMORY_BYTES, or make the guest use less."},
    CodeInfo{Code::format_invalid, "FORMAT_INVALID", "Text or bytes do not have the expected format.",
             "The message says what was expected and where it went wrong."},
    CodeInfo{Code::network_failed, "NETWORK_FAILED", "A connection could not be made or broke.",
             "Check name resolution, network and firewall."},
    CodeInfo{Code::redirect_refused, "REDIRECT_REFUSED", "A server redirects to this machine, or without end.",
             "Check who answers at the address that the message names; a registry has no reason to do this."},
    CodeInfo{Code::mqtt_failed, "MQTT_FAILED", "The MQTT session could not be set up.",
             "Check address, credentials and certificates of the broker."},
    CodeInfo{Code::io_failed, "IO_FAILED", "A file or system operation failed.",
             "The message has the path and the system's reason."},
    CodeInfo{Code::state_unusable, "STATE_UNUSABLE", "The worker's state folder cannot be used as it is.",
             "Correct what the message names, or give PROPLET_STATE_PATH an empty folder of the worker's own."},
    CodeInfo{Code::crypto_failed, "CRYPTO_FAILED", "The cryptographic library refused an operation.",
             "The message has the library's reason; report it if the input was good."},
    CodeInfo{Code::cancelled, "CANCELLED", "The operation was given up because its owner asked for it.",
             "Nothing is wrong; start again if wanted."},
    CodeInfo{Code::internal, "INTERNAL", "Something failed that should not be able to fail.",
             "Report it with the log."},
};

constexpr bool catalogue_is_in_order() {
  for (std::size_t i = 0; i < kCatalogue.size(); ++i) {
    if (static_cast<std::size_t>(kCatalogue[i].code) != i) return false;
  }
  return kCatalogue.size() == static_cast<std::size_t>(Code::internal) + 1;
}
static_assert(catalogue_is_in_order());

void append_one_line(std::string& line, std::string_view text) {
  for (const char c : text) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
}

}  // namespace

std::span<const CodeInfo> code_catalogue() { return kCatalogue; }

const CodeInfo& code_info(Code code) { return kCatalogue.at(static_cast<std::size_t>(code)); }

std::optional<Code> code_from_name(std::string_view name) {
  const auto same = [name](const CodeInfo& info) {
    return std::ranges::equal(info.name, name, [](char a, char b) {
      return a == static_cast<char>(std::toupper(static_cast<unsigned char>(b)));
    });
  };
  const auto found = std::ranges::find_if(kCatalogue, same);
  return found == kCatalogue.end() ? std::nullopt : std::optional(found->code);
}

Error::Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

std::string Error::text() const {
  std::string line(code_name());
  line += ": ";
  append_one_line(line, message_);
  for (const auto& cause : causes_) {
    line += ": ";
    append_one_line(line, cause);
  }
  return line;
}

Error Error::at(Stage stage) && {
  if (!stage_) stage_ = stage;
  return std::move(*this);
}

Error Error::because(std::string outer_message) && {
  causes_.insert(causes_.begin(), std::exchange(message_, std::move(outer_message)));
  return std::move(*this);
}

Error Error::caused_by(const Error& cause) && {
  causes_.push_back(cause.message_);
  causes_.insert(causes_.end(), cause.causes_.begin(), cause.causes_.end());
  return std::move(*this);
}

}  // namespace proplet
