// SPDX-License-Identifier: Apache-2.0
import { init } from 'echarts';

/** Bars for each measure, one for each variant, on a logarithmic scale of milliseconds; as SVG. */
export function chart(title, measures, variants) {
  const picture = init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 420 });
  picture.setOption({
    title: { text: title, left: 'center' },
    legend: { bottom: 0 },
    xAxis: { type: 'category', data: measures },
    yAxis: { type: 'log', name: 'ms', min: 1 },
    series: variants.map(({ name, values }) => ({
      type: 'bar',
      name,
      data: values.map((value) => Math.max(1, Math.round(value))),
      label: { show: true, position: 'top' },
      animation: false,
    })),
  });
  const svg = picture.renderToSVGString();
  picture.dispose();
  return svg;
}
