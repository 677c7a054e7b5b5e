// SPDX-License-Identifier: Apache-2.0
//
// The data plane writes a capture into its own runtime directory; it is copied from there, as it grows, into the
// operator's file, with the operator's rights.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "controlplane/base/descriptor.h"
#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/interruption.h"

namespace sluice::ctl {

using control::Descriptor;
using nlohmann::json;

namespace {

constexpr int kPollMs = 100;
constexpr int kFarewellMs = 2000;  // for the data plane to close the file

std::unexpected<Failure> failed(const std::string& what, const char* why) {
  return std::unexpected(Failure{Exit::kFailed, fmt::format("{}: {}", what, why)});
}

/// "198.51.100.0/24", "service=relay,client=2001:db8::7": into members of the request.
std::expected<json, Failure> parse_filter(const std::string& text) {
  json out = json::object();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const size_t equals = part.find('=');
    const std::string name = equals == std::string::npos ? "client" : part.substr(0, equals);
    const bool known = name == "client" || name == "service" || name == "backend";
    const std::string value = equals == std::string::npos ? part : part.substr(equals + 1);
    if (!known || value.empty() || out.contains(name)) {
      return std::unexpected(
          Failure{Exit::kUsage, fmt::format("FILTER \"{}\": allowed: a client (ADDRESS, ADDRESS:PORT, "
                                            "PREFIX/LENGTH), or client=..., service=... and backend=... with "
                                            "commas between",
                                            text)});
    }
    out[name] = value;
    begin = end + 1;
  }
  return out;
}

/// Copies what `from` has more than was copied before.
std::expected<void, Failure> copy_rest(int from, int to, const std::string& name) {
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t n = read(from, buffer.data(), buffer.size());
    if (n == 0) return {};
    if (n < 0) return failed("the data plane's capture", std::strerror(errno));
    for (ssize_t written = 0; written < n;) {
      const ssize_t m = write(to, buffer.data() + written, static_cast<size_t>(n - written));
      if (m < 0) return failed(name, std::strerror(errno));
      written += m;
    }
  }
}

bool is_removed(int file) {
  struct stat info{};
  return fstat(file, &info) == 0 && info.st_nlink == 0;
}

class Copying {
 public:
  Copying(const Client& client, const json& begun, int to, std::string name)
      : client_(client), path_("/api/v1/captures/" + begun.at("id").dump()), to_(to), name_(std::move(name)) {}

  /// Until the capture is over. Returns the last that is known of it.
  Client::Answer run() {
    auto last = until_over();
    const auto removed = client_.remove(path_);
    if (!last || !removed) return last ? removed : last;
    // What the workers had copied by then is written before the file goes.
    for (int waited = 0; from_.get() >= 0 && !is_removed(from_.get()) && waited < kFarewellMs; waited += kPollMs / 10) {
      interruption_.pause(kPollMs / 10);
    }
    if (from_.get() < 0) return last;
    if (const auto copied = copy_rest(from_.get(), to_, name_); !copied) return std::unexpected(copied.error());
    return client_.get(path_);
  }

 private:
  Client::Answer until_over() {
    for (;;) {
      auto answer = client_.get(path_);
      if (!answer) return answer;
      const auto state = answer->at("state").get<std::string>();
      if (from_.get() < 0 && state != "starting") {
        from_ = Descriptor(open(answer->at("path").get<std::string>().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (from_.get() < 0 && state != "ended") {
          return failed(answer->at("path").get<std::string>(), std::strerror(errno));
        }
      }
      if (from_.get() >= 0) {
        if (const auto copied = copy_rest(from_.get(), to_, name_); !copied) return std::unexpected(copied.error());
      }
      if (state == "ended" || interruption_.raised()) return answer;
      interruption_.wait(kPollMs);
    }
  }

  const Client& client_;
  std::string path_;
  int to_;
  std::string name_;
  Descriptor from_;
  Interruption interruption_;
};

std::string view_of(const json& capture, const std::string& file, bool headers_only) {
  return fmt::format("{}: {} packets, {} bytes{}; {} skipped, {} lost; {}\n", file,
                     capture.at("written_packets").get<uint64_t>(), capture.at("written_bytes").get<uint64_t>(),
                     headers_only ? ", headers without content (--snaplen N stores content too)" : "",
                     capture.at("skipped").get<uint64_t>(), capture.at("lost").get<uint64_t>(),
                     capture.at("reason").get<std::string>());
}

std::expected<json, Failure> request_of(const Invocation& invocation) {
  auto body = parse_filter(invocation.text("FILTER"));
  if (!body) return body;
  const auto seconds = invocation.seconds("seconds", 30, 3600);
  if (!seconds) return std::unexpected(seconds.error());
  const auto packets = invocation.number("packets", 100'000, 1, 10'000'000);
  if (!packets) return std::unexpected(packets.error());
  const auto bytes = invocation.number("bytes", 64ULL << 20, 4096, 1ULL << 30);
  if (!bytes) return std::unexpected(bytes.error());
  const auto snaplen = invocation.number("snaplen", 0, 0, 65'535);
  if (!snaplen) return std::unexpected(snaplen.error());
  body->update({{"seconds", *seconds}, {"packets", *packets}, {"bytes", *bytes}, {"snaplen", *snaplen}});
  return body;
}

Outcome capture_into(const Invocation& invocation, const Client& client, const json& body, int file,
                     const std::string& name) {
  const auto begun = client.post("/api/v1/captures", body);
  if (!begun) return std::unexpected(begun.error());
  try {
    const auto last = Copying(client, *begun, file, name).run();
    if (!last) return std::unexpected(last.error());
    if (last->at("written_bytes").get<uint64_t>() == 0 && last->at("reason").get<std::string>().starts_with("the ")) {
      return failed("capture", last->at("reason").get<std::string>().c_str());
    }
    if (file == STDOUT_FILENO) return {};
    return show_answer(invocation, *last,
                       [&](const json& answer) { return view_of(answer, name, body.at("snaplen") == 0); });
  } catch (const json::exception&) {
    return std::unexpected(Failure{
        Exit::kFailed, "control's answer has another form than this sluicectl knows; use the one of its version"});
  }
}

Outcome capture(const Invocation& invocation) {
  const auto body = request_of(invocation);
  if (!body) return std::unexpected(body.error());
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const std::string name = invocation.text("FILE");
  if (name == "-") return capture_into(invocation, *client, *body, STDOUT_FILENO, "standard output");
  const Descriptor file(open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return failed(name, std::strerror(errno));
  auto outcome = capture_into(invocation, *client, *body, file.get(), name);
  struct stat info{};
  if (!outcome && fstat(file.get(), &info) == 0 && info.st_size == 0) unlink(name.c_str());
  return outcome;
}

}  // namespace

Command capture_command() {
  return {
      .name = "capture",
      .help = "Write the packets of some connections, on both sides of the balancer, to a pcapng file for Wireshark",
      .arguments = {{"FILTER",
                     "A client (ADDRESS, ADDRESS:PORT, PREFIX/LENGTH), or client=..., service=... and "
                     "backend=... with commas between"},
                    {"FILE", "A file that is not there yet, for its owner alone; \"-\" is standard output"}},
      .options = {{"seconds", "N", "For this long (default 30, at most 3600)"},
                  {"packets", "N", "At most so many in the file (default 100000)"},
                  {"bytes", "N", "At most so long a file (default 67108864, at most 1073741824)"},
                  {"snaplen", "N", "Bytes of each packet to store; without it headers alone, and no content"}},
      .run = capture};
}

}  // namespace sluice::ctl
