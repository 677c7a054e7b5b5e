// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/import.h"

#include <fmt/format.h>

#include "config/haproxy/proxies.h"
#include "config/load.h"

namespace sluice::config::haproxy {

Imported import(const std::string& name, std::string_view text, const Vips& vips) {
  Remarks remarks;
  const Draft draft = convert(read_proxies(read_sections(text, remarks), remarks), vips, remarks);
  Imported out{.text = {}, .remarks = std::move(remarks).sorted(), .failure = {}};
  if (draft.services.empty()) {
    out.failure = "nothing to convert: no frontend or listen in TCP mode leads to a server that can be converted";
    return out;
  }
  out.text = write_draft(draft, name);
  if (const auto loaded = load_text("converted", out.text); !loaded) {
    out.text.clear();
    out.failure =
        fmt::format("the result would be refused, in {} place{}: {}", loaded.error().size(),
                    loaded.error().size() == 1 ? "" : "s, the first of them", loaded.error().front().to_string());
  }
  return out;
}

}  // namespace sluice::config::haproxy
