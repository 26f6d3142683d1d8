#include "attestation/tsm_report.h"

#include <cerrno>
#include <charconv>
#include <optional>

#include "base/encoding.h"

namespace proplet::attestation {
namespace {

constexpr int kAttempts = 3;
constexpr std::size_t kMaxBlobBytes = std::size_t{1} << 20;  // the kernel allows 32 KiB today

// A folder of configfs with a name nobody guesses; removed with its owner.
class Entry {
 public:
  static FileResult<std::unique_ptr<Entry>> make(GuestFiles& files, Random& random) {
    std::string path = std::string(kTsmFolder) + "/proplet-" + hex_encode(random.bytes<16>());
    if (const auto made = files.make_directory(path); !made) return tl::unexpected(made.error());
    return std::unique_ptr<Entry>(new Entry(files, std::move(path)));
  }
  ~Entry() { [[maybe_unused]] const auto ignored = files_.remove_directory(path_); }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  [[nodiscard]] std::string attribute(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  Entry(GuestFiles& files, std::string path) : files_(files), path_(std::move(path)) {}

  GuestFiles& files_;
  std::string path_;
};

tl::unexpected<Error> failed(std::string_view step, int error) {
  return fail(Code::evidence_failed, "{} of {}: {}", step, kTsmFolder, errno_text(error));
}

std::optional<std::uint64_t> generation(GuestFiles& files, const Entry& entry) {
  const std::string text = short_text(files, entry.attribute("generation"));
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// Nothing: somebody interfered.
Result<std::optional<TsmReport>> attempt(GuestFiles& files, Random& random, const TsmRequest& request) {
  const auto entry = Entry::make(files, random);
  if (!entry) return failed("making an entry", entry.error());
  const auto attribute = [&](std::string_view name) { return (*entry)->attribute(name); };
  if (const std::string provider = short_text(files, attribute("provider")); provider != request.provider) {
    return fail(Code::tee_unavailable, "the provider of {} is '{}', not {}", kTsmFolder, provider, request.provider);
  }
  auto writes = generation(files, **entry);
  if (!writes) return fail(Code::evidence_failed, "an entry of {} has no generation", kTsmFolder);
  if (request.most_privileged_level && files.exists(attribute("privlevel"))) {
    const auto set = files.write(attribute("privlevel"), bytes_of("0"));
    if (!set) return failed("asking for privilege level 0, which key brokers demand,", set.error());
    ++*writes;
  }
  if (const auto set = files.write(attribute("inblob"), request.inblob); !set) return failed("inblob", set.error());
  ++*writes;

  const auto racing = [](int error) { return error == EWOULDBLOCK || error == EBUSY || error == EINTR; };
  TsmReport report;
  auto blob = files.read(attribute("outblob"), kMaxBlobBytes);
  if (!blob && racing(blob.error())) return std::nullopt;
  if (!blob) return failed("outblob", blob.error());
  report.outblob = *std::move(blob);
  if (files.exists(attribute("auxblob"))) {
    auto auxiliary = files.read(attribute("auxblob"), kMaxBlobBytes);
    if (!auxiliary && racing(auxiliary.error())) return std::nullopt;
    if (!auxiliary) return failed("auxblob", auxiliary.error());
    report.auxblob = *std::move(auxiliary);
  }
  if (generation(files, **entry) != writes) return std::nullopt;
  return report;
}

}  // namespace

Result<TsmReport> request_tsm_report(GuestFiles& files, Random& random, const TsmRequest& request) {
  for (int i = 0; i < kAttempts; ++i) {
    TRY_ASSIGN(auto report, attempt(files, random, request));
    if (report) return *std::move(report);
  }
  return fail(Code::evidence_failed, "another program wrote into our entry of {}, {} times in a row", kTsmFolder,
              kAttempts);
}

std::string tsm_provider(GuestFiles& files, Random& random) {
  if (!files.exists(std::string(kTsmFolder))) return "";
  const auto entry = Entry::make(files, random);
  return entry ? short_text(files, (*entry)->attribute("provider")) : "";
}

}  // namespace proplet::attestation
