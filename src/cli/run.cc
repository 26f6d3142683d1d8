// propctl run: the worker's path from image to result in one process, without a broker or a Manager.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/key_access.h"
#include "module/image_opener.h"
#include "runtime/wasmtime_runtime.h"
#include "worker/stage_recorder.h"

namespace proplet::cli {
namespace {

constexpr std::uint64_t kMebibyte = 1U << 20;

struct RunOptions {
  std::string image;
  std::vector<std::string> arguments;
  std::string function;
  std::vector<std::string> environment;
  std::vector<std::string> directories;
  std::uint64_t memory_mebibytes = 1024;
  double timeout_seconds = 0;
  bool encrypted = false;
  bool stages = false;
  KeyAccessFlags keys;
  std::string kbs_resource_path;
  RegistryFlags registry;
};

Result<module::Module> open_image(Cli& cli, const RunOptions& options, StageObserver& stages) {
  TRY_ASSIGN(const auto images, Images::make(cli, options.registry));
  TRY_ASSIGN(const auto source, images->source(options.image));
  std::optional<kbs::ResourceUri> wanted;
  if (!options.kbs_resource_path.empty()) {
    TRY_ASSIGN(wanted, kbs::ResourceUri::parse(options.kbs_resource_path));
  }
  // A plain image needs no keys, so that their absence is an error only for an encrypted one.
  const auto keys = KeyAccess::open(cli, options.keys);
  const auto opener = make_opener(keys);
  const auto encryption = options.encrypted ? module::Encryption::required : module::Encryption::either;
  return opener.open(*source, encryption, wanted, &stages, cli.stop);
}

Result<module::Module> open_file(const RunOptions& options) {
  if (options.encrypted) return fail(Code::not_encrypted, "{} is a module file, not an image", options.image);
  TRY_ASSIGN(const Bytes bytes, read_file(options.image, kMaxModuleBytes));
  std::string digest = oci::Digest::of(bytes).text();
  return module::Module{.bytes = SecretBytes::copy_of(bytes),
                        .digest = std::move(digest),
                        .source = options.image,
                        .confidential = false};
}

Status fill_request(const RunOptions& options, runtime::RunRequest& request) {
  request.task_id = "run";
  request.function = options.function.empty() ? "_start" : options.function;
  request.function_required = !options.function.empty();
  request.arguments = options.arguments;
  for (const std::string& entry : options.environment) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) return fail(Code::config_invalid, "--env {}: not of the form NAME=VALUE", entry);
    request.environment[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  for (std::string path : options.directories) {
    const bool read_only = path.ends_with(":ro");
    if (read_only) path.resize(path.size() - 3);
    request.directories.push_back({.host_path = path, .guest_path = path, .read_only = read_only});
  }
  request.limits.memory_bytes = options.memory_mebibytes * kMebibyte;
  request.limits.output_bytes = std::size_t{64} << 20;
  if (options.timeout_seconds > 0) {
    request.limits.time = std::chrono::milliseconds(static_cast<std::int64_t>(options.timeout_seconds * 1000));
  }
  return {};
}

void write_text(std::FILE* stream, const std::string& text, bool end_line) {
  std::fwrite(text.data(), 1, text.size(), stream);
  if (end_line && !text.empty() && text.back() != '\n') std::fputc('\n', stream);
}

// What a shell expects: stdout and stderr of the guest, and the value of a function as a line.
void print_outcome(const Cli& cli, const RunOptions& options, const runtime::Outcome& outcome,
                   const worker::StageRecorder& stages) {
  json::object stages_ms;
  std::string line = "stages ";
  for (const auto& [stage, duration] : stages.durations()) {
    const double milliseconds = std::chrono::duration<double, std::milli>(duration).count();
    stages_ms[stage_name(stage)] = milliseconds;
    line += fmt::format(" {} {:.1f}", stage_name(stage), milliseconds);
  }
  if (cli.json) {
    cli.print("", {{"results", outcome.result},
                   {"stdout", outcome.standard_output},
                   {"stderr", outcome.standard_error},
                   {"stages_ms", std::move(stages_ms)}});
    return;
  }
  write_text(stdout, outcome.standard_output, false);
  write_text(stderr, outcome.standard_error, true);
  if (outcome.result != outcome.standard_output) write_text(stdout, outcome.result, true);
  if (options.stages) std::fprintf(stderr, "%s ms\n", line.c_str());
}

Status run(Cli& cli, const RunOptions& options) {
  worker::StageRecorder stages;
  const bool is_file = !Images::is_layout(options.image) && std::filesystem::is_regular_file(options.image);
  if (!is_file && options.image.ends_with(".wasm")) return fail(Code::io_failed, "there is no file {}", options.image);
  TRY_ASSIGN(module::Module module, is_file ? open_file(options) : open_image(cli, options, stages));
  runtime::RunRequest request;
  TRY(fill_request(options, request));
  wasm::wipe_freed_memory(module.confidential);
  wasm::Engine engine({.max_concurrent_runs = 1, .max_module_bytes = kMaxModuleBytes});
  runtime::WasmtimeRuntime runtime(engine);
  TRY_ASSIGN(const runtime::Outcome outcome, runtime.run(std::move(module), request, &stages, cli.stop));
  print_outcome(cli, options, outcome, stages);
  return {};
}

}  // namespace

void add_run_command(Cli& cli) {
  auto options = std::make_shared<RunOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = cli.app.add_subcommand("run", "Run a module file or an image here, encrypted or not");
  command->add_option("image", options->image, "A .wasm file, oci:FOLDER[:TAG], or a registry reference")->required();
  command->add_option("arguments", options->arguments, "Arguments, behind --");
  command->add_option("--invoke", options->function, "Exported function to call; default: the command");
  command->add_option("--env", options->environment, "NAME=VALUE for the guest; repeatable");
  command->add_option("--dir", options->directories, "Folder the guest may use, PATH or PATH:ro; repeatable");
  command->add_option("--memory", options->memory_mebibytes, "Limit of the guest's memory in MiB")
      ->capture_default_str();
  command->add_option("--timeout", options->timeout_seconds, "Limit of the run in seconds; 0: none");
  command->add_flag("--encrypted", options->encrypted, "Refuse an image that is not encrypted");
  command->add_flag("--stages", options->stages, "Show the time of each stage on stderr");
  options->keys.add_to(*command);
  command->add_option("--kbs-resource-path", options->kbs_resource_path, "Key the image must be encrypted with");
  options->registry.add_to(*command);
  command->callback([&cli, options] { cli.action = [&cli, options] { return run(cli, *options); }; });
}

}  // namespace proplet::cli
