// Which way images come (PROPLET_OCI_PULL).
#pragma once

#include <cstdint>

namespace proplet::module {

enum class PullMode : std::uint8_t {
  automatic,  // straight from the registry; when it cannot be reached, plain ones through the proxy
  always,     // straight from the registry, whatever happens
  never,      // through the proxy: no connections to registries
};

}  // namespace proplet::module
