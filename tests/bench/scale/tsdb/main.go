// Writes one block of a Prometheus TSDB from series on standard input: see ../backfill.py for the format.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
)

const seriesPerCommit = 64

type header struct {
	Labels  map[string]string `json:"labels"`
	FirstMs int64             `json:"firstMs"`
	StepMs  int64             `json:"stepMs"`
	Count   int               `json:"count"`
}

func main() {
	if len(os.Args) != 3 {
		fail(errors.New("usage: tsdb FOLDER BLOCK_MS < SERIES"))
	}
	size, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		fail(err)
	}
	count, err := write(os.Args[1], size, bufio.NewReaderSize(os.Stdin, 1<<20))
	if err != nil {
		fail(err)
	}
	fmt.Println(count)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "tsdb:", err)
	os.Exit(1)
}

func write(folder string, size int64, input io.Reader) (int, error) {
	writer, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), folder, size)
	if err != nil {
		return 0, err
	}
	defer writer.Close()
	ctx, total := context.Background(), 0
	for more := true; more; {
		appender := writer.Appender(ctx)
		for n := 0; n < seriesPerCommit; n++ {
			head, values, err := read(input)
			if errors.Is(err, io.EOF) {
				more = false
				break
			}
			if err != nil {
				return 0, err
			}
			set := labels.FromMap(head.Labels)
			for i := 0; i < head.Count; i++ {
				value := math.Float64frombits(binary.LittleEndian.Uint64(values[8*i:]))
				if _, err := appender.Append(0, set, head.FirstMs+int64(i)*head.StepMs, value); err != nil {
					return 0, err
				}
			}
			total += head.Count
		}
		if err := appender.Commit(); err != nil {
			return 0, err
		}
	}
	if total == 0 {
		return 0, nil
	}
	_, err = writer.Flush(ctx)
	return total, err
}

// read returns one series: length of the header, the header as JSON, then its values as little-endian float64.
func read(input io.Reader) (header, []byte, error) {
	var size uint32
	head := header{}
	if err := binary.Read(input, binary.LittleEndian, &size); err != nil {
		return head, nil, err
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(input, text); err != nil {
		return head, nil, fmt.Errorf("header: %w", err)
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return head, nil, err
	}
	values := make([]byte, 8*head.Count)
	if _, err := io.ReadFull(input, values); err != nil {
		return head, nil, fmt.Errorf("values: %w", err)
	}
	return head, values, nil
}
