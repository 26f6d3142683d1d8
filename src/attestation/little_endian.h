// Integers as x86 and Arm hardware lays them out in reports, quotes and tables.
#pragma once

#include <concepts>
#include <cstddef>

#include "base/bytes.h"

namespace proplet::attestation {

// The caller has checked that `offset` + sizeof(Integer) is inside.
template <std::unsigned_integral Integer>
Integer little_endian(ByteView bytes, std::size_t offset) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = static_cast<Integer>(value | (Integer{bytes[offset + i]} << (8 * i)));
  }
  return value;
}

}  // namespace proplet::attestation
