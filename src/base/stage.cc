#include "base/stage.h"

#include <array>

namespace proplet {
namespace {

constexpr std::array<std::string_view, kStageCount> kNames = {"decode", "admit",   "resolve", "pull", "attest",
                                                              "key",    "decrypt", "compile", "run",  "publish"};

}  // namespace

std::string_view stage_name(Stage stage) { return kNames.at(static_cast<std::size_t>(stage)); }

std::optional<Stage> stage_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames.at(i) == name) return static_cast<Stage>(i);
  }
  return std::nullopt;
}

}  // namespace proplet
