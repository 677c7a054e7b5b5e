// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/datagram_output.h"

#include <algorithm>
#include <utility>

namespace sluice::control {

Written DatagramOutput::write_lines(std::string_view lines) {
  Written out;
  socket_.begin_batch();
  for (size_t begin = 0, end; begin < lines.size(); begin = end + 1) {
    end = std::min(lines.find('\n', begin), lines.size() - 1);
    std::string fault = socket_.send(lines.substr(begin, end - begin));
    (fault.empty() ? out.records : out.lost)++;
    if (!fault.empty() && out.fault.empty()) out.fault = std::move(fault);
  }
  return out;
}

}  // namespace sluice::control
