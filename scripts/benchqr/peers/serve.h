// What the two peers have in common: a frame comes in on standard input, what
// was read and what it cost goes out. serve.go says the form.
#pragma once

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

inline int64_t cpuNanos() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return int64_t(t.tv_sec) * 1000000000 + t.tv_nsec;
}

// serve answers until the input ends or a frame of no width comes. read takes
// pixels, width, height and how many codes are asked for.
template <typename Read>
int serve(Read read) {
  std::vector<uint8_t> pixels;
  for (;;) {
    uint32_t head[5];
    if (fread(head, sizeof head, 1, stdin) != 1 || head[0] == 0) return 0;
    const uint32_t width = head[0], height = head[1], repeat = head[2], most = head[3];
    pixels.resize(size_t(width) * height);
    if (fread(pixels.data(), 1, pixels.size(), stdin) != pixels.size()) return 1;
    std::vector<std::string> texts;
    const int64_t start = cpuNanos();
    for (uint32_t i = 0; i < repeat; i++) texts = read(pixels.data(), int(width), int(height), int(most));
    const int64_t took = cpuNanos() - start;
    printf("%lld -1", static_cast<long long>(took / (repeat ? repeat : 1)));
    for (const auto& text : texts) {
      putchar(' ');
      for (unsigned char c : text) printf("%02x", c);
    }
    putchar('\n');
    fflush(stdout);
  }
}
