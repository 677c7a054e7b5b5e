// SPDX-License-Identifier: Apache-2.0
//
// Where lines go: files that rotate, fill up or are moved away, and sockets whose reader comes and goes.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "controlplane/records/datagram_output.h"
#include "controlplane/records/file_output.h"
#include "controlplane/records/syslog_output.h"
#include "tests/controlplane/support/known_session.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using testing::MatchesRegex;

class Output : public testing::Test {
 protected:
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  StateDirectory directory_;
  std::string path_ = directory_.file("sessions.jsonl");
};

TEST_F(Output, AppendsToAFile) {
  FileOutput(path_, 0, 1).write_lines("one\n");
  const Written done = FileOutput(path_, 0, 1).write_lines("two\nthree\n");
  EXPECT_EQ(done.records, 2u);
  EXPECT_EQ(done.lost, 0u);
  EXPECT_EQ(done.fault, "");
  EXPECT_EQ(read(path_), "one\ntwo\nthree\n");
}

TEST_F(Output, BeginsANewFileWhenTheOldOneWasMovedAway) {
  FileOutput file(path_, 0, 1);
  file.write_lines("one\n");
  std::filesystem::rename(path_, path_ + ".old");
  file.write_lines("two\n");
  file.reopen();
  file.write_lines("three\n");
  EXPECT_EQ(read(path_ + ".old"), "one\ntwo\n");
  EXPECT_EQ(read(path_), "three\n");
}

TEST_F(Output, RotatesBySizeAndLosesNothing) {
  FileOutput file(path_, 200'000, 3);
  std::string all;
  for (int i = 0; i < 20'000; i++) all += "line " + std::to_string(i) + " of many\n";
  EXPECT_EQ(file.write_lines(all).records, 20'000u);
  EXPECT_LE(std::filesystem::file_size(path_), 200'000u);
  EXPECT_EQ(read(path_ + ".2") + read(path_ + ".1") + read(path_), all);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".3"));
  file.write_lines(all);
  file.write_lines(all);
  EXPECT_TRUE(std::filesystem::exists(path_ + ".3"));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".4")) << "so many are kept";
}

TEST_F(Output, WritesALineThatIsLongerThanAPiece) {
  const std::string line = std::string(200'000, 'x') + "\n";
  EXPECT_EQ(FileOutput(path_, 0, 1).write_lines(line + "short\n").records, 2u);
  EXPECT_EQ(read(path_), line + "short\n");
}

TEST_F(Output, AFullDiskCostsWhatDoesNotFitAndTearsNoLine) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 25, .rlim_max = before.rlim_max};  // as a disk of so many bytes
  FileOutput file(path_, 0, 1);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Written done = file.write_lines("0123456789\n0123456789\n0123456789\n");
  const Written again = file.write_lines("0123456789\n");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(done.records, 2u);
  EXPECT_EQ(done.lost, 1u);
  EXPECT_NE(done.fault, "");
  EXPECT_EQ(again.lost, 1u);
  EXPECT_EQ(read(path_), "0123456789\n0123456789\n");
  EXPECT_EQ(file.write_lines("after\n").fault, "");
  EXPECT_EQ(read(path_), "0123456789\n0123456789\nafter\n");
}

TEST_F(Output, SaysWhyNothingCanBeWritten) {
  FileOutput file(directory_.path() + "/nowhere/sessions.jsonl", 0, 1);
  const Written done = file.write_lines("one\ntwo\n");
  EXPECT_EQ(done.lost, 2u);
  EXPECT_EQ(done.fault, directory_.path() + "/nowhere/sessions.jsonl: No such file or directory");
  std::filesystem::create_directory(directory_.path() + "/nowhere");
  EXPECT_EQ(file.write_lines("three\n").records, 1u);
  EXPECT_NE(FileOutput("/dev/full", 0, 1).write_lines("one\n").fault, "");
}

class Reader {
 public:
  explicit Reader(const std::string& path) : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    unlink(path.c_str());
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~Reader() { close(fd_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  std::string read() const {
    char bytes[2048];
    const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
    return n < 0 ? "nothing" : std::string(bytes, static_cast<size_t>(n));
  }

 private:
  int fd_;
};

TEST_F(Output, SendsADatagramForEachLine) {
  const Reader reader(path_);
  DatagramOutput output(path_);
  EXPECT_EQ(output.write_lines("one\ntwo\n").records, 2u);
  EXPECT_EQ(reader.read(), "one");
  EXPECT_EQ(reader.read(), "two");
  EXPECT_EQ(reader.read(), "nothing");
}

TEST_F(Output, NeverWaitsForAReaderAndFindsTheNextOne) {
  DatagramOutput output(path_);
  EXPECT_NE(output.write_lines("one\n").fault, "");
  {
    const Reader slow(path_);
    std::string many;
    for (int i = 0; i < 10'000; i++) many += "line\n";
    const Written done = output.write_lines(many);
    EXPECT_GT(done.records, 0u);
    EXPECT_EQ(done.records + done.lost, 10'000u);
    EXPECT_NE(done.fault, "");
  }
  const Reader next(path_);
  EXPECT_EQ(output.write_lines("two\n").records, 1u);
  EXPECT_EQ(next.read(), "two");
}

TEST_F(Output, TellsTheSystemLogByItsSocketWithASeverity) {
  const Reader reader(path_);
  SyslogOutput output(path_);
  const KnownSession good = ordinary_session();
  KnownSession bad = good;
  bad.record.end = channel::SessionEnd::kReset;
  const KnownSession* sessions[] = {&good, &bad};
  EXPECT_EQ(output.write(sessions, {.node = "edge1"}).records, 2u);
  EXPECT_THAT(reader.read(), MatchesRegex("<22>[A-Z][a-z][a-z] .{2} ..:..:.. sluice\\[[0-9]+\\]: \\{\"time\":.*\\}"));
  EXPECT_THAT(reader.read(), MatchesRegex("<20>.*\"end\":\"reset\".*\\}"));
}

TEST(MakeOutput, TakesWhatTheConfigurationNames) {
  EXPECT_EQ(make_output({}), nullptr);
  EXPECT_EQ(kind_of({}), "none");
  for (const auto& [to, kind] : {std::pair("file:/tmp/x", "file"), std::pair("unix-datagram:/tmp/x", "unix_datagram"),
                                 std::pair("syslog:", "syslog"), std::pair("ipfix:192.0.2.1:4739", "ipfix")}) {
    EXPECT_NE(make_output({.to = to}), nullptr) << to;
    EXPECT_EQ(kind_of({.to = to}), kind);
  }
}

}  // namespace
}  // namespace sluice::control
