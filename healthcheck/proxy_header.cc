// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/proxy_header.h"

#include <string_view>

namespace sluice::health {

namespace {

using namespace std::string_view_literals;

// Section 2.2: signature, version 2 with command LOCAL, family and transport unspecified, no address block.
constexpr std::string_view kV2Local = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"sv;
static_assert(kV2Local.size() == 16);

std::string v1(const Endpoint& source, const Endpoint& destination) {
  return std::string("PROXY ") + (source.address.is_v4() ? "TCP4 " : "TCP6 ") + source.address.to_string() + " " +
         destination.address.to_string() + " " + std::to_string(source.port) + " " + std::to_string(destination.port) +
         "\r\n";
}

}  // namespace

std::string proxy_header(config::Proxy version, const Endpoint& source, const Endpoint& destination) {
  switch (version) {
    case config::Proxy::kNone:
      return "";
    case config::Proxy::kV1:
      return v1(source, destination);
    case config::Proxy::kV2:
      return std::string(kV2Local);
  }
  return "";
}

}  // namespace sluice::health
