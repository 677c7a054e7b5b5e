// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/import.h"

#include "config/haproxy/proxies.h"

namespace sluice::config::haproxy {

Imported import(const std::string& name, std::string_view text, const Vips& vips) {
  Remarks remarks("HAProxy");
  const Draft draft = convert(read_proxies(read_sections(text, remarks), remarks), vips, remarks);
  return imports::finish(draft, std::move(remarks), name, "sluicectl import haproxy",
                         "no frontend or listen in TCP mode leads to a server that can be converted");
}

}  // namespace sluice::config::haproxy
