// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/log.h"

#include <bpf/libbpf.h>
#include <rte_log.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <xdp/libxdp.h>

#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string_view>

namespace sluice {
namespace {

/// The message as a JSON string, quotes included.
class JsonMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string quoted = nlohmann::json(std::string(message.payload.data(), message.payload.size()))
                                   .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.append(quoted.data(), quoted.data() + quoted.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JsonMessage>(); }
};

std::atomic<int> loudest_quiet_level{RTE_LOG_MAX + 1};  // DPDK counts levels downwards: 1 is the worst
std::mutex last_error_mutex;
std::string last_error;  // DPDK's log callback has no other place to leave it

spdlog::level::level_enum dpdk_level(int level) {
  if (level >= loudest_quiet_level || level > static_cast<int>(RTE_LOG_WARNING)) return spdlog::level::debug;
  return level == static_cast<int>(RTE_LOG_WARNING) ? spdlog::level::warn : spdlog::level::err;
}

ssize_t write_dpdk_line(void*, const char* text, size_t bytes) {
  std::string_view line(text, bytes);
  while (line.ends_with('\n')) line.remove_suffix(1);
  if (line.empty()) return static_cast<ssize_t>(bytes);
  const int level = rte_log_cur_msg_loglevel();
  if (level <= static_cast<int>(RTE_LOG_ERR)) {
    const std::lock_guard lock(last_error_mutex);
    last_error = line;
  }
  spdlog::log(dpdk_level(level), "DPDK: {}", line);
  return static_cast<ssize_t>(bytes);
}

/// libbpf and libxdp say at "warn" what is of no consequence where there is no bpffs.
template <typename Level>
int write_bpf_line(Level, const char* format, va_list arguments) {
  std::array<char, 512> text;
  const int bytes = std::vsnprintf(text.data(), text.size(), format, arguments);
  std::string_view line(text.data());
  while (line.ends_with('\n')) line.remove_suffix(1);
  spdlog::debug("BPF: {}", line);
  return bytes;
}

}  // namespace

void set_up_log(const std::string& level, LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>("sluice", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<JsonMessage>('J');
  formatter->set_pattern(format == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":%J})"
                                                    : "%Y-%m-%dT%H:%M:%S.%e%z %l: %v");
  logger->set_formatter(std::move(formatter));
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

void redirect_dpdk_log() {
  cookie_io_functions_t functions{};
  functions.write = write_dpdk_line;
  FILE* stream = fopencookie(nullptr, "w", functions);
  if (stream == nullptr) return;
  std::setvbuf(stream, nullptr, _IOLBF, BUFSIZ);
  rte_openlog_stream(stream);
  libbpf_set_print(write_bpf_line<libbpf_print_level>);
  libxdp_set_print(write_bpf_line<libxdp_print_level>);
}

QuietDpdk::QuietDpdk(bool errors_too) {
  loudest_quiet_level = errors_too ? RTE_LOG_ERR : RTE_LOG_WARNING;
}

QuietDpdk::~QuietDpdk() {
  loudest_quiet_level = RTE_LOG_MAX + 1;
}

std::string last_dpdk_error() {
  const std::lock_guard lock(last_error_mutex);
  return last_error;
}

}  // namespace sluice
